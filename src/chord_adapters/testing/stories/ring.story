# chord story 1
# Ten nodes find their places: every pointer is exact, and each key has one owner, whom all name.

ring a b c d e f g h i j
----
ideal ring of 10

owner users/42
owner users/43
owner ""
----
one owner, named by all 10
one owner, named by all 10
one owner, named by all 10
