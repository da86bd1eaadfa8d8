//! Warehouses: typed tables, loads that verify themselves, a ledger.
