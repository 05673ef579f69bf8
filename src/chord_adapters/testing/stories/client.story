# chord story 1
# A client asks one node for everything, and sees what the members see.

ring a b c
----
ideal ring of 3

client x at=b
put x k v
get a k
get x k
----
ok
version 1
v (version 1)
v (version 1)

store x letter size=200000
fetch c letter
fetch x letter
----
ad15038ca8d7471e85c351bf51b8ba20470054ee, 200000 bytes
200000 bytes, as stored
200000 bytes, as stored

delete c k
get x k
----
version 2
nothing

# Its node crashes: what it asks then is not answered.
crash b
get x k timeout=0.5
put x k w timeout=0.5
get a k
----
crashed
Unreachable
Unreachable
nothing
