//! The summary on the terminal and the page a person looks at.
