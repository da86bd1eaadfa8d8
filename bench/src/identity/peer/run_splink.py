"""Runs Splink over a set of records, with the settings that its documentation has for data of this shape.

python run_splink.py KIND PAIRS FILE...

A FILE is CSV with the columns `row` (numbers records over all files), `person`, and those of the records; two
FILEs are linked. What the documentation builds on a national id is left out, because the records have none here.
Scored pairs go to PAIRS, figures to standard output as JSON.
"""

import json
import logging
import resource
import sys
import time

logging.disable(logging.WARNING)
import duckdb
import splink
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

KIND, PAIRS, *FILES = sys.argv[1:]

# docs/demos/examples/duckdb/febrl3 and febrl4 (the detailed model)
FEBRL = {
    "comparisons": lambda: [
        cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
        cl.NameComparison("surname").configure(term_frequency_adjustments=True),
        cl.DateOfBirthComparison(
            "date_of_birth", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=True
        ),
        cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
        # In place of the national id, which the example has: the rest of the address.
        cl.JaroWinklerAtThresholds("address_1", [0.9, 0.7]).configure(term_frequency_adjustments=True),
        cl.JaroWinklerAtThresholds("suburb", [0.9, 0.7]).configure(term_frequency_adjustments=True),
    ],
    "deterministic": [
        block_on("given_name", "surname", "date_of_birth"),
        "l.given_name = r.surname and l.surname = r.given_name and l.date_of_birth = r.date_of_birth",
    ],
    "recall": 0.8,
    "train": [block_on("date_of_birth"), block_on("postcode")],
    "columns": ["given_name", "surname", "street_number", "address_1", "suburb", "postcode", "state", "date_of_birth"],
}
KINDS = {
    "febrl3": FEBRL
    | {
        "blocking": [
            block_on("given_name"),
            block_on("surname"),
            block_on("date_of_birth"),
            block_on("postcode"),
        ],
    },
    # The rules of febrl4, which stay feasible on large files.
    "febrl": FEBRL
    | {
        "blocking": [
            block_on("given_name", "surname"),
            "l.given_name = r.surname and l.surname = r.given_name",
            block_on("date_of_birth"),
            block_on("state", "address_1"),
            block_on("street_number", "address_1"),
            block_on("postcode"),
        ],
    },
    # The same, narrowed for a million records: by a date of birth or a postcode alone there are too many pairs.
    "febrl-large": FEBRL
    | {
        "blocking": [
            block_on("given_name", "surname"),
            "l.given_name = r.surname and l.surname = r.given_name",
            block_on("given_name", "date_of_birth"),
            block_on("surname", "date_of_birth"),
            block_on("given_name", "postcode"),
            block_on("surname", "postcode"),
            block_on("date_of_birth", "postcode"),
            block_on("state", "address_1"),
            block_on("street_number", "address_1"),
        ],
        "train": [block_on("date_of_birth"), block_on("given_name", "surname")],
    },
    # docs/demos/examples/duckdb/accuracy_analysis_from_labels_column
    "fake": {
        "comparisons": lambda: [
            cl.ForenameSurnameComparison("first_name", "surname"),
            cl.DateOfBirthComparison("dob", input_is_string=True),
            cl.ExactMatch("city").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ],
        "blocking": [block_on("first_name"), block_on("surname"), block_on("dob"), block_on("email")],
        "deterministic": [
            "l.first_name = r.first_name and levenshtein(r.dob, l.dob) <= 1",
            "l.surname = r.surname and levenshtein(r.dob, l.dob) <= 1",
            "l.first_name = r.first_name and levenshtein(r.surname, l.surname) <= 2",
            "l.email = r.email",
        ],
        "recall": 0.7,
        "train": [block_on("dob"), block_on("email"), block_on("first_name", "surname")],
        "columns": ["first_name", "surname", "dob", "city", "email"],
    },
    # No example of Splink's has Japanese records: its comparisons for names, e-mails and exact values, as they come.
    "japan": {
        "comparisons": lambda: [
            cl.NameComparison("name").configure(term_frequency_adjustments=True),
            cl.NameComparison("kana"),
            cl.ExactMatch("birth"),
            cl.ExactMatch("gender"),
            cl.LevenshteinAtThresholds("phone", [1, 2]),
            cl.EmailComparison("mail"),
            cl.ExactMatch("zip").configure(term_frequency_adjustments=True),
            cl.JaroWinklerAtThresholds("address", [0.95, 0.88]),
        ],
        "blocking": [
            block_on("name"),
            block_on("kana"),
            block_on("phone"),
            block_on("mail"),
            block_on("birth", "zip"),
            block_on("address"),
        ],
        "deterministic": ["l.mail = r.mail and l.name = r.name", "l.phone = r.phone and l.name = r.name"],
        "recall": 0.5,
        "train": [block_on("mail"), block_on("phone")],
        "columns": ["name", "kana", "birth", "gender", "phone", "mail", "zip", "address"],
    },
}


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Clock:
    def __init__(self):
        self.phases = []

    def time(self, name, work):
        wall, busy = time.monotonic(), cpu()
        done = work()
        self.phases.append(
            {"name": name, "cpuSeconds": cpu() - busy, "wallSeconds": time.monotonic() - wall}
        )
        return done


kind, clock = KINDS[KIND], Clock()
link = len(FILES) == 2


def load():
    con = duckdb.connect()
    api = DuckDBAPI(connection=con)
    tables = []
    for number, file in enumerate(FILES):
        columns = ", ".join(f"nullif(trim({c}), '') as {c}" for c in kind["columns"])
        con.sql(
            f"create table records{number} as select row::bigint as unique_id, person, {columns} "
            f"from read_csv('{file}', header = true, all_varchar = true)"
        )
        tables.append(api.register(con.table(f"records{number}")))
    settings = SettingsCreator(
        link_type="link_only" if link else "dedupe_only",
        blocking_rules_to_generate_predictions=kind["blocking"],
        comparisons=kind["comparisons"](),
        additional_columns_to_retain=["person"],
    )
    return con, Linker(tables if link else tables[0], settings)


def train(linker):
    training = linker.training
    training.estimate_probability_two_random_records_match(kind["deterministic"], recall=kind["recall"])
    training.estimate_u_using_random_sampling(max_pairs=1e6, seed=2)
    for rule in kind["train"]:
        training.estimate_parameters_using_expectation_maximisation(
            rule, estimate_without_term_frequencies=True
        )


con, linker = clock.time("load", load)
clock.time("train", lambda: train(linker))
scored = clock.time("predict", lambda: linker.inference.predict(threshold_match_probability=0.2))
clock.time(
    "cluster",
    lambda: linker.clustering.cluster_pairwise_predictions_at_threshold(
        scored, threshold_match_probability=0.95
    ),
)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
con.sql(
    f"copy (select unique_id_l as row_l, unique_id_r as row_r, match_weight as weight from {scored.physical_name}) "
    f"to '{PAIRS}' (header true)"
)
# What blocking made is counted aside: it is not what a user runs.
every = linker.inference.predict().physical_name
[(pairs, true)] = con.sql(
    f"select count(*), count(*) filter (where person_l = person_r) from {every}"
).fetchall()
across = "and a.f <> b.f" if link else ""
union = " union all ".join(f"select person, unique_id, {n} as f from records{n}" for n in range(len(FILES)))
[(possible,)] = con.sql(
    f"with r as ({union}) select count(*) from r a join r b on a.person = b.person and a.unique_id < b.unique_id {across}"
).fetchall()
print(
    json.dumps(
        {
            "version": splink.__version__,
            "phases": clock.phases,
            "peakMegabytes": peak,
            "pairs": pairs,
            "blockingRecall": true / possible if possible else 1.0,
        }
    )
)
