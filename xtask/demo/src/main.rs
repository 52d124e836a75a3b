//! The demo of the workspace.

fn main() {}
