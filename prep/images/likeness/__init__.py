"""Find images that look alike: copies that were compressed, resized, brightened or mirrored.

An image becomes a hash of 64 bits, and two images are near if their hashes differ in few bits.

``hashing`` hashes pixels: the signs of its 64 lowest frequencies.
``neighbours`` finds all hashes within a distance of each other, by multi-index hashing, with
``buckets`` of hashes that are alike in one part.
``clumps`` gathers hashes of which very many are near each other.
``alike`` finds groups of such images, and which to keep of each.

Everything here is arithmetic on integers: the same pixels give the same hash on any machine, and
the same hashes give the same groups, in any order. The work is bounded, whatever the images are:
those that look like very many others are compared with some of these alone, and the result says
which.

Another measure of likeness is a module beside ``hashing``; its distance has to be a number of bits.
"""
