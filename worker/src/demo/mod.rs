//! The seeded world of a bento retailer, its run and its score.
