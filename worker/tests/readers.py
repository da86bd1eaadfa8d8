"""Reads curated tables with two readers that know nothing of musubi, and says what they saw.

Takes {"lake": FOLDER, "tables": {NAME: {"version": N, "sums": [COLUMN]}}} on standard input. Gives, by table,
rows, exact sums and column types as the `deltalake` package sees them and as DuckDB sees them over the files
that the log names, and the columns of which a footer or the log tells a minimum or maximum.
"""

import json
import pathlib
import sys

import duckdb
from deltalake import DeltaTable, QueryBuilder


def select(sums):
    return ", ".join(["count(*)"] + [f'cast(sum("{c}") as varchar)' for c in sums])


def with_deltalake(folder, version, sums):
    table = DeltaTable(str(folder), version=version)
    found = QueryBuilder().register("t", table).execute(f"select {select(sums)} from t").read_all()
    rows, *totals = [found.column(i)[0].as_py() for i in range(found.num_columns)]
    types = {field.name: str(field.type) for field in table.schema().fields}
    types = {name: kind.split('"')[1] for name, kind in types.items()}
    return {"rows": rows, "sums": totals, "types": types}


def files_in_the_log(folder, version):
    files, stats = set(), set()
    for at in range(version + 1):
        for line in (folder / "_delta_log" / f"{at:020}.json").read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                files.add(action["add"]["path"])
                told = json.loads(action["add"]["stats"])
                stats.update(told.get("minValues", {}), told.get("maxValues", {}))
            if "remove" in action:
                files.discard(action["remove"]["path"])
    return [str(folder / f) for f in sorted(files)], stats


def with_duckdb(folder, version, sums):
    files, stats = files_in_the_log(folder, version)
    if not files:
        return {"rows": 0, "sums": [None for _ in sums], "types": {}, "files": 0}, stats, []
    rows, *totals = duckdb.execute(f"select {select(sums)} from read_parquet(?)", [files]).fetchone()
    described = duckdb.execute("describe select * from read_parquet(?)", [files]).fetchall()
    types = {name: kind for name, kind, *_ in described}
    named = duckdb.execute(
        "select distinct path_in_schema from parquet_metadata(?) where coalesce("
        "stats_min, stats_max, stats_min_value, stats_max_value) is not null",
        [files],
    ).fetchall()
    footers = sorted(name for (name,) in named)
    return {"rows": rows, "sums": totals, "types": types, "files": len(files)}, stats, footers


def main():
    asked = json.load(sys.stdin)
    seen = {}
    for name, table in asked["tables"].items():
        folder = pathlib.Path(asked["lake"]) / "curated" / name
        version, sums = table["version"], table["sums"]
        by_duckdb, in_log, in_footers = with_duckdb(folder, version, sums)
        seen[name] = {
            "deltalake": with_deltalake(folder, version, sums),
            "duckdb": by_duckdb,
            "inLog": sorted(in_log),
            "inFooters": in_footers,
        }
    json.dump(seen, sys.stdout)


main()
