//! Texts that share their beginnings: a token is stored once for all that go on from it.

use std::collections::BTreeMap;

/// Nodes in an order in which parents come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Token of each node.
    pub tokens: Vec<u32>,
    /// Position of each node in its text, from 0.
    pub positions: Vec<usize>,
    parents: Vec<Option<usize>>,
    children: BTreeMap<(usize, u32), usize>,
}

impl Tree {
    /// Returns the tree of one text.
    ///
    /// # Panics
    /// When the text is empty.
    pub fn of(text: &[u32]) -> Self {
        assert!(!text.is_empty(), "a text starts with a token");
        let mut tree = Self::default();
        let mut last = None;
        for &token in text {
            last = Some(tree.push(token, last));
        }
        tree
    }

    fn push(&mut self, token: u32, parent: Option<usize>) -> usize {
        let node = self.tokens.len();
        self.tokens.push(token);
        self.positions
            .push(parent.map_or(0, |p| self.positions[p] + 1));
        self.parents.push(parent);
        if let Some(parent) = parent {
            self.children.insert((parent, token), node);
        }
        node
    }

    /// Returns the node of a token after a node, which is added where it is new.
    pub fn child(&mut self, parent: usize, token: u32) -> usize {
        match self.children.get(&(parent, token)) {
            Some(&node) => node,
            None => self.push(token, Some(parent)),
        }
    }

    /// Adds a token after a node, whether the node goes on with it already or not, and returns the new node: no later
    /// [`child`](Self::child) of that node finds another one.
    pub fn branch(&mut self, parent: usize, token: u32) -> usize {
        self.push(token, Some(parent))
    }

    /// Returns whether node i sees node j, itself included, [nodes, nodes].
    pub(super) fn seen(&self) -> Vec<bool> {
        let nodes = self.tokens.len();
        let mut seen = vec![false; nodes * nodes];
        for node in 0..nodes {
            if let Some(parent) = self.parents[node] {
                seen.copy_within(parent * nodes..(parent + 1) * nodes, node * nodes);
            }
            seen[node * nodes + node] = true;
        }
        seen
    }
}
