//! Evaluates an audience, enforces consent, delivers it.
