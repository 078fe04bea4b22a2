//! The world outside of the chain: what it asks for is done, and sometimes whoever asked does not live to hear it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    setup::{Pod, Shop},
    support::{
        gateway::{Gateway, Reply, Request},
        mail_server::{Answer, Mail as Letter, MailServer},
        pod::Pods,
    },
};

/// Who dies is killed at this call.
const LAST_CALL: usize = 20;

/// What a pod asks others for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Mail,
    Sms,
    Payment,
}

/// A mail server, an SMS gateway and a payment gateway.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) mail: MailServer,
    pub(super) sms: Gateway,
    pub(super) payments: Gateway,
    condemned: Condemned,
}

/// Pods to kill, by the names that they give when they ask.
#[derive(Debug, Clone, Default)]
struct Condemned(Arc<Mutex<BTreeMap<String, Fate>>>);

#[derive(Debug)]
struct Fate {
    pid: Pid,
    at: Call,
    left: usize,
}

impl Outside {
    pub(super) async fn open() -> Outside {
        let condemned = Condemned::default();
        let hears = condemned.clone();
        let mail = MailServer::with(
            |_, asked| if asked % 7 == 3 { Answer::ToMessage("451 4.3.0 later") } else { Answer::Take },
            move |mails| hears.done(sender(mails.last().expect("the one just taken")), Call::Mail),
            &[],
        )
        .await;
        let sms = condemned.gateway(Call::Sms).await;
        let payments = condemned.gateway(Call::Payment).await;
        Outside { mail, sms, payments, condemned }
    }

    /// Starts a pod that knows where everything is, and gives this name to whomever it asks.
    pub(super) fn start(
        &self,
        shop: &Shop,
        name: &str,
        make: impl FnOnce(Pods) -> Pods,
        args: &[&str],
    ) -> Pod {
        let named = |pods: Pods| {
            make(pods)
                .with("SHOP__EMAIL__SMTP_URL", &format!("smtp://{}", self.mail.address))
                .with("SHOP__EMAIL__STARTTLS", "false")
                .with("SHOP__SMS__URL", &self.sms.url())
                .with("SHOP__GATEWAY__URL", &self.payments.url())
                .with("SHOP__EMAIL__FROM", &format!("{name} <shop@example.com>"))
                .with("SHOP__SMS__TOKEN", name)
                .with("SHOP__GATEWAY__TOKEN", name)
        };
        shop.start_other(named, args)
    }

    /// Kills the pod of this name when its twentieth call of this kind has been done and not been answered.
    pub(super) fn condemn(&self, name: &str, pod: &Pod, at: Call) {
        let pid = i32::try_from(pod.worker.pid()).ok().and_then(Pid::from_raw).expect("a process");
        let fate = Fate { pid, at, left: LAST_CALL };
        self.condemned.0.lock().expect("the condemned").insert(name.to_owned(), fate);
    }
}

impl Condemned {
    /// One call of three fails.
    async fn gateway(&self, call: Call) -> Gateway {
        let hears = self.clone();
        Gateway::that(move |request: &Request| {
            let reply = Reply::failing(3, request);
            if reply == Reply::Do {
                hears.done(request.authorization.trim_start_matches("Bearer "), call);
            }
            reply
        })
        .await
    }

    fn done(&self, name: &str, call: Call) {
        let mut condemned = self.0.lock().expect("the condemned");
        let Some(fate) = condemned.get_mut(name).filter(|fate| fate.at == call) else { return };
        fate.left -= 1;
        if fate.left == 0 {
            kill_process(fate.pid, Signal::KILL).expect("SIGKILL");
            condemned.remove(name);
        }
    }
}

/// Who has sent it.
pub(super) fn sender(mail: &Letter) -> &str {
    mail.header("From").split('<').next().unwrap_or_default().trim().trim_matches('"')
}
