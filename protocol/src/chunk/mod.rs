//! A chunk on its way.
