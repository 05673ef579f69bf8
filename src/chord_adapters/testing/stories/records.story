# chord story 1
# What one node wrote every other reads; what was deleted is absent, and can be written again.

ring a b c d
----
ideal ring of 4

get a users/42
----
nothing

put a users/42 Ada
get b users/42
----
version 1
Ada (version 1)

put c users/42 "Ada Lovelace"
get d users/42
----
version 2
Ada Lovelace (version 2)

delete b users/42
get a users/42
----
version 3
nothing

put d users/42 Grace
get c users/42
----
version 4
Grace (version 4)

# An empty value is a value, and deleting what is not there is no error.
put a empty ""
get b empty
delete c absent
get d absent
----
version 1
b'' (version 1)
version 1
nothing

# A record may be long.
put a long size=300000
get b long
----
version 1
300000 bytes (version 1)
