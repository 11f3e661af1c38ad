//! A summary as text, for people.

use std::fmt::{self, Write};

use super::summary::{Statistics, Summary};

/// Characters of the longest bar of the histogram.
const BAR: usize = 40;

impl Summary {
    /// Returns the summary as a table of plain text, with the returns' histogram as bars.
    pub fn to_table(&self) -> String {
        let mut table = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_table(&mut table);
        table
    }

    fn write_table(&self, out: &mut String) -> fmt::Result {
        self.write_counts(out)?;
        writeln!(
            out,
            "\n{:<22}{:>11}{:>11}{:>11}{:>11}{:>11}",
            "", "mean", "std", "min", "median", "max"
        )?;
        write_statistics(out, "return", &self.returns)?;
        write_statistics(out, "length", &self.lengths)?;
        write_statistics(out, "reward", &self.rewards)?;
        if let Some(score) = &self.normalized_score {
            writeln!(
                out,
                "{:<22}{:>11.1}{:>11.1}   (0 is {}, 100 is {})",
                "normalised score",
                score.mean,
                score.standard_deviation,
                score.reference_minimum,
                score.reference_maximum
            )?;
        }
        self.write_actions(out)?;
        if self.not_finite > 0 {
            writeln!(
                out,
                "\nWARNING: {} values are NaN or infinite",
                self.not_finite
            )?;
        }
        if self.timeouts == 0 && self.trailing_transitions == self.transitions {
            writeln!(
                out,
                "\nWARNING: no row ends an episode; is `timeouts` missing?"
            )?;
        }
        self.write_histogram(out)?;
        if !self.notes.is_empty() {
            writeln!(out, "\nWhat the reader did, and what looks wrong:")?;
        }
        self.notes
            .iter()
            .try_for_each(|note| writeln!(out, "- {note}"))
    }

    fn write_counts(&self, out: &mut String) -> fmt::Result {
        for source in &self.sources {
            writeln!(out, "{:<22}{}", "file", source.display())?;
        }
        writeln!(out, "{:<22}{}", "sha256", self.sha256)?;
        writeln!(out, "{:<22}{}", "transitions", self.transitions)?;
        writeln!(
            out,
            "{:<22}{} → {}{}",
            "observation → action",
            self.observation_dim,
            self.action_dim,
            if self.has_next_observations {
                ", successors on record"
            } else {
                ""
            }
        )?;
        writeln!(
            out,
            "{:<22}{} complete, {} rows after them",
            "episodes", self.episodes, self.trailing_transitions
        )?;
        writeln!(
            out,
            "{:<22}{} terminals, {} timeouts",
            "ends", self.terminals, self.timeouts
        )
    }

    fn write_actions(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "\n{:<22}{:>11}{:>11}{:>11}",
            "action", "min", "max", "|a| > 0.99"
        )?;
        for (entry, saturation) in self.action_saturation.iter().enumerate() {
            writeln!(
                out,
                "{:<22}{:>11.3}{:>11.3}{:>10.1}%",
                entry,
                self.action_minimum[entry],
                self.action_maximum[entry],
                100.0 * saturation
            )?;
        }
        Ok(())
    }

    fn write_histogram(&self, out: &mut String) -> fmt::Result {
        let Some(highest @ 1..) = self.histogram.counts.iter().copied().max() else {
            return Ok(());
        };
        writeln!(out, "\n{:<22}{:>11}", "return from … to", "episodes")?;
        for (edges, &count) in self.histogram.edges.windows(2).zip(&self.histogram.counts) {
            let bar = "█".repeat((count * BAR).div_ceil(highest));
            let range = format!("{:>9.1} … {:>9.1}", edges[0], edges[1]);
            writeln!(out, "{range:<22}{count:>11}  {bar}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_table())
    }
}

fn write_statistics(out: &mut String, name: &str, values: &Statistics) -> fmt::Result {
    let Statistics {
        mean,
        standard_deviation,
        minimum,
        median,
        maximum,
    } = values;
    writeln!(
        out,
        "{name:<22}{mean:>11.2}{standard_deviation:>11.2}{minimum:>11.2}{median:>11.2}{maximum:>11.2}"
    )
}
