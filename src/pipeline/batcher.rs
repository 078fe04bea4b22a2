//! Many questions, one round trip.

use std::{future::Future, sync::Arc};

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::store::StoreFault;

/// The most questions in one batch: the store answers a batch as one step, and everybody else waits for it.
const MAX_BATCH: usize = 200;
/// Batches under way at once: while one travels, the next one gathers.
const MAX_UNDER_WAY: usize = 2;

type Reply<A> = oneshot::Sender<Result<A, StoreFault>>;

/// Gathers questions that are asked at about the same time into batches. Nothing waits for a batch to fill:
/// it leaves as soon as the line is free.
#[derive(Debug)]
pub(crate) struct Batcher<Q, A> {
    queue: mpsc::UnboundedSender<(Q, Reply<A>)>,
}

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// `call` answers a whole batch, in order. Runs until the batcher is dropped.
    pub(crate) fn start<F, Fut>(call: F) -> Self
    where
        F: Fn(Vec<Q>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<A>, StoreFault>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::unbounded_channel();
        tokio::spawn(run(waiting, Arc::new(call)));
        Self { queue }
    }

    /// Asks one question.
    pub(crate) async fn ask(&self, question: Q) -> Result<A, StoreFault> {
        let (reply, answer) = oneshot::channel();
        let gone = || StoreFault::unavailable("the worker is stopping");
        self.queue.send((question, reply)).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn run<Q, A, F, Fut>(mut waiting: mpsc::UnboundedReceiver<(Q, Reply<A>)>, call: Arc<F>)
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Fn(Vec<Q>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<A>, StoreFault>> + Send + 'static,
{
    let under_way = Arc::new(Semaphore::new(MAX_UNDER_WAY));
    let mut batch = Vec::new();
    loop {
        let Ok(line) = Arc::clone(&under_way).acquire_owned().await else { return };
        if waiting.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return;
        }
        let (questions, replies): (Vec<Q>, Vec<Reply<A>>) = batch.drain(..).unzip();
        let call = Arc::clone(&call);
        tokio::spawn(async move {
            deliver(call(questions).await, replies);
            drop(line);
        });
    }
}

/// Nobody may be waiting any more: an asker who went away is no error.
fn deliver<A>(answers: Result<Vec<A>, StoreFault>, replies: Vec<Reply<A>>) {
    match answers {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                drop(reply.send(Ok(answer)));
            }
        }
        Err(fault) => {
            for reply in replies {
                drop(reply.send(Err(fault.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn questions_asked_together_travel_together_and_get_their_own_answers() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sizes);
        let batcher = Batcher::start(move |questions: Vec<u32>| {
            seen.lock().unwrap().push(questions.len());
            async move { Ok(questions.into_iter().map(|question| question * 2).collect()) }
        });
        let answers = join_all((0..500).map(|question| batcher.ask(question))).await;
        assert!((0..500).zip(answers).all(|(question, answer)| answer.unwrap() == question * 2));
        let sizes = sizes.lock().unwrap();
        assert!(sizes.len() <= 3 && sizes.iter().all(|size| *size <= MAX_BATCH), "{sizes:?}");
    }

    #[tokio::test]
    async fn a_fault_reaches_everybody_in_the_batch() {
        let batcher =
            Batcher::start(|_: Vec<u32>| async { Err::<Vec<u32>, _>(StoreFault::unavailable("gone")) });
        let answers = join_all((0..3).map(|question| batcher.ask(question))).await;
        assert!(answers.iter().all(Result::is_err));
    }
}
