//! What a run costs beside time: the processor and the memory of its process, and of Redis.

use std::process::{Command, Stdio};

use redis::{Connection, InfoDict};
use wait4::Wait4;

use crate::{Result, contract::Score};

/// One process, from its start to its end.
#[derive(Debug)]
pub(crate) struct Ran {
    /// What it said, or why it said nothing.
    pub(crate) score: std::result::Result<Score, String>,
    /// User and system time, the start of the process included.
    pub(crate) cpu_us: f64,
    /// The most memory it ever had in use.
    pub(crate) peak_rss_bytes: u64,
}

/// Runs a program to its end. Its last line is its score.
pub(crate) fn run(command: &mut Command) -> Result<Ran> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().map(std::io::read_to_string).transpose()?.unwrap_or_default();
    let used = child.wait4()?;
    let last = output.trim_end().lines().next_back().unwrap_or_default();
    let score = match serde_json::from_str(last) {
        Ok(score) if used.status.success() => Ok(score),
        Ok(_) => Err(used.status.to_string()),
        Err(error) => Err(format!("{}, {error}: {last:?}", used.status)),
    };
    let cpu_us = (used.rusage.utime + used.rusage.stime).as_secs_f64() * 1e6;
    Ok(Ran { score, cpu_us, peak_rss_bytes: used.rusage.maxrss })
}

/// What Redis says of itself between two runs.
pub(crate) struct RedisMeter {
    redis: Connection,
    empty_bytes: u64,
}

/// What Redis says after a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RedisUse {
    /// Inside of commands, by its own account.
    pub(crate) command_us: f64,
    /// All of its threads, reading and writing included.
    pub(crate) cpu_us: f64,
    /// More in use than before.
    pub(crate) bytes: u64,
    /// How many keys there are.
    pub(crate) keys: u64,
}

impl RedisMeter {
    pub(crate) fn new(url: &str) -> Result<Self> {
        Ok(Self { redis: redis::Client::open(url)?.get_connection()?, empty_bytes: 0 })
    }

    /// Empties Redis and begins to count.
    pub(crate) fn begin(&mut self) -> Result<f64> {
        let () = redis::cmd("FLUSHALL").query(&mut self.redis)?;
        let () = redis::cmd("CONFIG").arg("RESETSTAT").query(&mut self.redis)?;
        self.empty_bytes = self.field("memory", "used_memory")?;
        self.cpu_us()
    }

    /// What it took since it began, when its processor time was `before`.
    pub(crate) fn end(&mut self, before: f64) -> Result<RedisUse> {
        let cpu_us = self.cpu_us()? - before;
        let text: String = redis::cmd("INFO").arg("commandstats").query(&mut self.redis)?;
        // The meter's own questions are not what is measured, and what a transaction runs is counted by itself.
        let others = ["cmdstat_info", "cmdstat_config", "cmdstat_exec:"];
        let commands = text.lines().filter(|line| !others.iter().any(|other| line.starts_with(other)));
        let command_us =
            commands.filter_map(|line| line.split("usec=").nth(1)?.split(',').next()?.parse::<f64>().ok());
        let command_us = command_us.fold(0.0, |sum, us| sum + us);
        let bytes = self.field::<u64>("memory", "used_memory")?.saturating_sub(self.empty_bytes);
        let keys = redis::cmd("DBSIZE").query(&mut self.redis)?;
        Ok(RedisUse { command_us, cpu_us, bytes, keys })
    }

    fn cpu_us(&mut self) -> Result<f64> {
        Ok((self.field::<f64>("cpu", "used_cpu_user")? + self.field::<f64>("cpu", "used_cpu_sys")?) * 1e6)
    }

    fn field<T: redis::FromRedisValue>(&mut self, section: &str, name: &str) -> Result<T> {
        let info: InfoDict = redis::cmd("INFO").arg(section).query(&mut self.redis)?;
        info.get(name).ok_or_else(|| format!("Redis does not tell its {name}").into())
    }
}
