//! The seeded model test.
