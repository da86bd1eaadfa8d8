//! The shape of a graph of links: what holds it together.

use crate::repair::Forest;

/// Whether each link is one of the spanning forest that takes links in their order. `ends` are the nodes of each link,
/// below `nodes`; strongest first it is the maximum spanning forest (Kruskal 1956).
pub(super) fn forest(nodes: usize, ends: &[(u32, u32)]) -> Vec<bool> {
    let mut whole = Forest::new(nodes);
    ends.iter().map(|(a, b)| whole.union(*a, *b)).collect()
}

/// Whether each link is a bridge: the only way between its two sides. Bridges are links of the forest that no other
/// link goes around.
pub(super) fn bridges(nodes: usize, ends: &[(u32, u32)], in_forest: &[bool]) -> Vec<bool> {
    let (number, above) = walk(nodes, ends, in_forest);
    let mut bridge = in_forest.to_vec();
    // Nodes are numbered from the roots down, so the smallest of what was gone around is the uppermost.
    let mut around = Forest::new(nodes);
    for ((a, b), _) in ends.iter().zip(in_forest).filter(|(_, tree)| !**tree) {
        let mut lower = around.find(number[*a as usize]);
        let mut upper = around.find(number[*b as usize]);
        while lower != upper {
            if lower < upper {
                std::mem::swap(&mut lower, &mut upper);
            }
            let Some((parent, link)) = above[lower as usize] else {
                break;
            };
            bridge[link] = false;
            around.union(lower, parent);
            lower = around.find(lower);
        }
    }
    bridge
}

/// Numbers of the nodes from the roots of the forest down, and by number what is above each: its parent's number and
/// the link.
fn walk(
    nodes: usize,
    ends: &[(u32, u32)],
    in_forest: &[bool],
) -> (Vec<u32>, Vec<Option<(u32, usize)>>) {
    let mut links: Vec<Vec<(u32, usize)>> = vec![Vec::new(); nodes];
    for (at, (a, b)) in ends.iter().enumerate().filter(|(at, _)| in_forest[*at]) {
        links[*a as usize].push((*b, at));
        links[*b as usize].push((*a, at));
    }
    let mut number = vec![u32::MAX; nodes];
    let mut above: Vec<Option<(u32, usize)>> = Vec::with_capacity(nodes);
    let mut waiting = std::collections::VecDeque::new();
    for root in 0..nodes as u32 {
        waiting.push_back((root, None));
        while let Some((node, from)) = waiting.pop_front() {
            let own = &mut number[node as usize];
            if *own != u32::MAX {
                continue;
            }
            *own = above.len() as u32;
            let below = links[node as usize].iter();
            waiting.extend(below.map(|(next, link)| (*next, Some((*own, *link)))));
            above.push(from);
        }
    }
    (number, above)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether each link is a bridge, by taking it away.
    fn by_trying(nodes: usize, ends: &[(u32, u32)]) -> Vec<bool> {
        let apart = |without: usize| {
            let mut rest = Forest::new(nodes);
            for (at, (a, b)) in ends.iter().enumerate() {
                if at != without {
                    rest.union(*a, *b);
                }
            }
            rest.find(ends[without].0) != rest.find(ends[without].1)
        };
        (0..ends.len()).map(apart).collect()
    }

    #[test]
    fn bridges_are_the_links_that_part_a_graph() {
        // Two triangles, a bridge between them, a tail, and a pair of its own.
        let ends = [
            (0, 1),
            (1, 2),
            (4, 5),
            (5, 6),
            (2, 4),
            (6, 7),
            (0, 2),
            (4, 6),
            (3, 8),
        ];
        let tree = forest(9, &ends);
        assert_eq!(tree.iter().filter(|t| **t).count(), 7);
        let found = bridges(9, &ends, &tree);
        let expected = [false, false, false, false, true, true, false, false, true];
        assert_eq!(found, expected);
    }

    #[test]
    fn any_graph_has_the_bridges_that_trying_finds() {
        let mut dice = 7u64;
        let mut draw = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((dice >> 33) % sides) as u32
        };
        for nodes in 2..14u32 {
            for _ in 0..60 {
                let links = draw(2 * u64::from(nodes));
                let mut ends: Vec<(u32, u32)> = (0..links)
                    .map(|_| (draw(nodes.into()), draw(nodes.into())))
                    .filter(|(a, b)| a < b)
                    .collect();
                ends.sort_unstable_by_key(|(a, b)| (a * 7 + b * 5) % 11);
                let mut seen = hashbrown::HashSet::new();
                ends.retain(|e| seen.insert(*e));
                let tree = forest(nodes as usize, &ends);
                assert_eq!(
                    bridges(nodes as usize, &ends, &tree),
                    by_trying(nodes as usize, &ends),
                    "{ends:?}"
                );
            }
        }
    }
}
