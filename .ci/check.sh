# shellcheck shell=bash
# ./dev check: what is looked at beside the tests. Each check_NAME is a check of that name. Sourced by ./dev.

CHECKS=(builds format tidy shell python files layers links)

# Runs one check to its end, whatever others found, and sets `rc`. Never to be called in a condition: there bash ignores
# set -e in all that is called, and a check would not stop at its first error.
run_check()
{
    say "check $1"
    set +e
    (
        set -e
        "check_$1"
    )
    rc=$?
    set -e
}

tracked()
{
    git ls-files -- "$@"
}

# What a check returns that this machine can't make; it says why.
UNDECIDED=77

# Versions of clang-format disagree about some macros: Debian 12's decides, which Debian 13 does not have.
check_format()
{
    local wrong
    if [[ $(clang-format --version) == *"version 14."* ]]; then
        tracked '*.c' '*.h' | xargs -r clang-format --dry-run -Werror
    else
        wrong=$(tracked '*.c' '*.h' | xargs -r clang-format --dry-run 2>&1 | grep -c 'warning:') || true
        say "format is not checked: version 14 (Debian 12) decides; $(clang-format --version) would change $wrong places"
        return "$UNDECIDED"
    fi
}

# The clang tree knows the commands and the generated headers. One file at a time: clang-tidy 14 mistakes va_list in later ones.
check_tidy()
{
    build_tree clang
    tracked 'datapath/*.c' 'control/*.c' 'bench/*.c' 'bpf/steer_loader.c' |
        xargs -r -P "$(jobs_wanted)" -n 1 clang-tidy --quiet -p build/clang 2> >(grep -v 'warnings generated' >&2)
}

shell_scripts()
{
    git grep -IlE '^#!.*[/ ](ba)?sh$'
    tracked '*.sh'
}

check_shell()
{
    shell_scripts | sort -u | xargs -r shellcheck -x
}

python_scripts()
{
    tracked '*.py'
}

check_python()
{
    local files
    mapfile -t files < <(python_scripts)
    ((${#files[@]} > 0)) || return 0
    PYTHONPYCACHEPREFIX=$ROOT/build/pycache python3 -m compileall -q "${files[@]}"
    ! command -v pyflakes3 >/dev/null || pyflakes3 "${files[@]}"
}

# Warnings are errors in both.
check_builds()
{
    build_tree release && build_tree clang
}

# Only sources are committed: what a program makes is made again, but for the documents that a test compares.
check_files()
{
    local bad
    bad=$(tracked | grep -E '\.(o|a|so|pyc|d|gcda|gcno|skel\.h|bpf\.o)$|(^|/)(build|__pycache__)/|compile_commands\.json$' || true)
    bad+=$(git ls-files --eol | awk '$1 == "i/-text"' | grep -v '	tests/fuzz/corpus/' || true)
    [[ -z $bad ]] || { printf 'not source: %s\n' "$bad" >&2; return 1; }
}

check_layers()
{
    python3 tests/house/check_layers.py
}

check_links()
{
    python3 tests/house/check_links.py
}

cmd_check()
{
    local name rc failed=() passed=() undecided=()
    (($# > 0)) || set -- "${CHECKS[@]}"
    require BUILD CHECK
    for name in "$@"; do
        declare -F "check_$name" >/dev/null || die "check: got '$name', wanted one of: ${CHECKS[*]}"
        run_check "$name"
        case $rc in
        0) passed+=("$name") ;;
        "$UNDECIDED") undecided+=("$name") ;;
        *) failed+=("$name") ;;
        esac
    done
    ((${#undecided[@]} == 0)) || say "not checked here, see above: ${undecided[*]}"
    ((${#failed[@]} == 0)) || die "checks failed: ${failed[*]}"
    say "all checks passed: ${passed[*]:-none}"
}
