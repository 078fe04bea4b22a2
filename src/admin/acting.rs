//! Acts that outlive their requests.

use super::answer::Refusal;

/// What has begun comes to its end, and what is written down of it too, also where whoever asked for it has gone away.
pub(super) async fn to_its_end<T: Send + 'static>(
    act: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(act).await.unwrap_or_else(|_| Err(Refusal::not_now("the worker is stopping")))
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn an_act_comes_to_its_end_although_nobody_waits_for_it_any_more() {
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let act = async move {
            may_go_on.await.unwrap();
            end.send(()).unwrap();
            Ok(())
        };
        tokio::select! {
            biased;
            _ = to_its_end(act) => panic!("it waits"),
            // Whoever asked goes away.
            () = std::future::ready(()) => {}
        }
        go_on.send(()).unwrap();
        ended.await.unwrap();
    }
}
