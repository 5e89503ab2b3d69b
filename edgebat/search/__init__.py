"""The best student for a budget: candidates are priced exactly before they are trained, the good ones confirmed.

``space`` says what is varied, ``cost`` what a candidate takes on the target, ``trial`` trains one, ``workers`` many at once,
``study`` decides which, ``report`` shows what was found.
"""
