//! What operators see: metrics as a real Prometheus reads them, alerts that fire and clear, and a dashboard that asks for
//! what there is.

mod alerts;
mod dashboard;
mod list;
mod prometheus;
mod scraped;
mod traces;
