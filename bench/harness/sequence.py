"""In which order the contenders of a round are asked."""


def williams(count):
    """Orders in which each follows each other equally often (a Williams square): what one leaves behind (warm caches,
    sockets that are closing) falls on all alike. An even count needs as many orders, an odd one twice as many."""
    if count < 2:
        return [list(range(count))]
    first = [0]
    low, high = 1, count - 1
    while len(first) < count:
        first.append(low if len(first) % 2 else high)
        low, high = (low + 1, high) if len(first) % 2 == 0 else (low, high - 1)
    square = [[(one + shift) % count for one in first] for shift in range(count)]
    if count % 2 == 0:
        return square
    return [order for row in square for order in (row, row[::-1])]


def order_of(items, number):
    """The items of round `number`, counted from 0."""
    orders = williams(len(items))
    return [items[i] for i in orders[number % len(orders)]]
