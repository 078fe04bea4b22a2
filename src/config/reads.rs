//! The kinds of values a [`Reader`] can hand out.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::Reader;
use super::units;
use super::value::Value;
use crate::Delays;

const DURATION: &str = "a duration from 1ms to ten years, such as \"30s\", \"250ms\" or \"8d\"";

const DELAYS: &str = "a list of up to 8 durations that ascend, such as [\"1m\", \"10m\", \"1h\"]";

const OFF: &str = "off";

impl Reader {
    /// A text that is not empty.
    pub fn text(&mut self, key: &str, default: &str) -> String {
        self.parsed(key, default.to_owned(), "a text that is not empty", some_text)
    }

    /// A text that is not empty, where silence has a meaning of its own.
    pub fn optional_text(&mut self, key: &str) -> Option<String> {
        self.optional_parsed(key, "a text that is not empty", some_text)
    }

    /// A text that `parse` understands; `allowed` completes the sentence "allowed is …".
    pub fn parsed<T: Display>(
        &mut self,
        key: &str,
        default: T,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let show = |default: &T| Value::Text(default.to_string()).to_string();
        self.get(key, default, show, allowed, |value| value.text().and_then(parse))
    }

    /// [`parsed`](Self::parsed) without a default.
    pub fn optional_parsed<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.find(key, allowed, |value| value.text().and_then(parse))
    }

    /// A list of texts, or one text with commas.
    pub fn list(&mut self, key: &str, default: &[&str]) -> Vec<String> {
        let default = default.iter().map(|&text| text.to_owned()).collect();
        let show =
            |texts: &Vec<String>| Value::List(texts.iter().cloned().map(Value::Text).collect()).to_string();
        self.get(key, default, show, "a list of texts, or one text with commas", Value::list)
    }

    /// Delays that ascend, as a list or as one text with commas, where silence has a meaning of its own.
    pub fn optional_delays(&mut self, key: &str) -> Option<Delays> {
        self.find(key, DELAYS, |value| {
            let delays =
                value.list()?.iter().map(|text| units::duration(text)).collect::<Option<Vec<_>>>()?;
            Delays::of(&delays)
        })
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        self.get(key, default, bool::to_string, "true or false", Value::flag)
    }

    /// An integer within a range.
    pub fn integer_in<T>(&mut self, key: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        self.get(key, default, T::to_string, &integers(&range), |value| integer(value, &range))
    }

    /// An integer within a range, where silence has a meaning of its own.
    pub fn optional_integer_in<T>(&mut self, key: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        self.find(key, &integers(&range), |value| integer(value, &range))
    }

    /// A duration above zero, such as `"30s"`.
    pub fn duration(&mut self, key: &str, default: Duration) -> Duration {
        let show = |default: &Duration| format!("{:?}", units::show_duration(*default));
        self.get(key, default, show, DURATION, |value| value.text().and_then(units::duration))
    }

    /// A duration above zero, where silence has a meaning of its own.
    pub fn optional_duration(&mut self, key: &str) -> Option<Duration> {
        self.find(key, DURATION, |value| value.text().and_then(units::duration))
    }

    /// A duration above zero, or `"off"`.
    pub fn duration_or_off(&mut self, key: &str, default: Option<Duration>) -> Option<Duration> {
        let show = |default: &Option<Duration>| match default {
            Some(default) => format!("{:?}", units::show_duration(*default)),
            None => format!("{OFF:?}"),
        };
        self.get(key, default, show, &format!("{DURATION}, or {OFF:?}"), |value| match value.text()?.trim() {
            OFF => Some(None),
            text => units::duration(text).map(Some),
        })
    }

    /// A number of bytes above zero: an integer, or a text such as `"64MiB"`.
    pub fn size(&mut self, key: &str, default: u64) -> u64 {
        let show = |default: &u64| format!("{:?}", units::show_size(*default));
        self.get(key, default, show, "a size above zero in bytes, or such as \"64MiB\"", |value| {
            units::size(&value.scalar()?).filter(|size| *size > 0)
        })
    }

    /// One of some words.
    pub fn choice<T: Copy + PartialEq>(&mut self, key: &str, default: T, words: &[(&str, T)]) -> T {
        let allowed: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let show = |default: &T| {
            let word = words.iter().find(|(_, meaning)| meaning == default);
            word.map_or_else(String::new, |(word, _)| format!("{word:?}"))
        };
        self.get(key, default, show, &allowed.join(" or "), |value| {
            let text = value.text()?.trim();
            words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
        })
    }
}

fn some_text(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn integers<T: Display>(range: &RangeInclusive<T>) -> String {
    format!("an integer from {} to {}", range.start(), range.end())
}

fn integer<T: TryFrom<i64> + PartialOrd>(value: &Value, range: &RangeInclusive<T>) -> Option<T> {
    T::try_from(value.integer()?).ok().filter(|number| range.contains(number))
}
