//! Edges by their place: linking decides on millions of them, and holds each once.

use crate::edge::Edge;

/// The edges that matching scored, and behind them those that linking makes.
pub(crate) struct Pool<'a> {
    scored: &'a [Edge],
    made: Vec<Edge>,
}

impl<'a> Pool<'a> {
    pub(crate) fn new(scored: &'a [Edge], made: Vec<Edge>) -> Self {
        Self { scored, made }
    }

    /// The places of the edges that linking made.
    pub(crate) fn made(&self) -> std::ops::Range<u32> {
        let first = self.scored.len() as u32;
        first..first + self.made.len() as u32
    }

    /// The edge at a place.
    pub(crate) fn at(&self, place: u32) -> &Edge {
        let place = place as usize;
        match self.scored.get(place) {
            Some(edge) => edge,
            None => &self.made[place - self.scored.len()],
        }
    }

    /// Adds an edge; gives its place.
    pub(crate) fn add(&mut self, edge: Edge) -> u32 {
        self.made.push(edge);
        self.made().end - 1
    }

    /// The edges that linking made.
    pub(crate) fn into_made(self) -> Vec<Edge> {
        self.made
    }
}
