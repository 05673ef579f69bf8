# chord story 1
# A value stored under its content has the same key everywhere, is cut into blocks when it is long, and comes back whole.

ring a b c d
----
ideal ring of 4

store a short "any bytes"
fetch b short
----
f98675ef4e5f78c434b49ac2a583a187638e2f87, 9 bytes
9 bytes, as stored

store b long size=500000
fetch c long
fetch d long
----
7164334940cae07d880dc8f6e402baee8fadb311, 500000 bytes
500000 bytes, as stored
500000 bytes, as stored

store c nothing ""
fetch a nothing
----
da39a3ee5e6b4b0d3255bfef95601890afd80709, 0 bytes
0 bytes, as stored

fetch a 0123456789abcdef0123456789abcdef01234567
----
nothing

# A record under the same name is something else.
put a short record
get d short
fetch d short
----
version 1
record (version 1)
9 bytes, as stored
