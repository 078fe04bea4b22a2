//! Pods in the manifests: nobody is killed, asked or let in who should not be.

use serde_json::{Value, json};

use crate::{
    cluster::overlays,
    compose::seconds,
    dockerfile::last,
    manifests::{container, pod, selects},
};

/// After the drain deadline, a worker may take this long to leave its groups.
const LEAVE: u64 = 5;

#[test]
fn no_pod_is_killed_while_it_may_still_drain() {
    for (overlay, manifests) in overlays() {
        for (service, deployment) in manifests.workers() {
            let drain = &manifests.environment(deployment)["ONCEWISE__WORKER__DRAIN_TIMEOUT"];
            let grace = pod(deployment)["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
            assert!(grace > seconds(drain).as_secs() + LEAVE, "{overlay}: {service}: {grace} s");
            assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
        }
    }
}

#[test]
fn probes_ask_the_worker_what_it_answers() {
    for (overlay, manifests) in overlays() {
        for (service, deployment) in manifests.workers() {
            let container = container(deployment);
            let port = &container["ports"][0];
            assert_eq!(
                (port["name"].as_str(), port["containerPort"].to_string()),
                (Some("http"), last("EXPOSE"))
            );
            for (probe, path) in
                [("startupProbe", "/startupz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
            {
                let asked = &container[probe]["httpGet"];
                assert_eq!(asked, &json!({"path": path, "port": "http"}), "{overlay}: {service}: {probe}");
            }
            let scraped = &pod(deployment)["metadata"]["annotations"];
            assert_eq!(scraped["prometheus.io/port"].as_str(), Some(last("EXPOSE").as_str()));
        }
    }
}

#[test]
fn pods_may_do_nothing_that_they_need_not() {
    for (overlay, manifests) in overlays() {
        for (service, deployment) in manifests.workers() {
            let (spec, container) = (&pod(deployment)["spec"], container(deployment));
            let user: u64 = last("USER").split(':').next().unwrap().parse().unwrap();
            assert_eq!(spec["automountServiceAccountToken"], false, "{overlay}: {service}");
            let of_pod = &spec["securityContext"];
            assert_eq!((&of_pod["runAsNonRoot"], &of_pod["runAsUser"]), (&json!(true), &json!(user)));
            assert_eq!(of_pod["seccompProfile"], json!({"type": "RuntimeDefault"}));
            assert_eq!(
                container["securityContext"],
                json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                })
            );
            assert!(container["resources"]["limits"]["memory"].is_string(), "{overlay}: {service}");
            assert!(container["resources"]["requests"]["cpu"].is_string(), "{overlay}: {service}");
            for mount in container["volumeMounts"].as_array().unwrap() {
                assert_eq!(mount["readOnly"], true, "{overlay}: {service}: {mount}");
            }
            // Somebody's policy says whom they may speak to, in both directions.
            let labels = &pod(deployment)["metadata"]["labels"];
            let policies = manifests.of_kind("NetworkPolicy").into_values();
            let own: Vec<_> =
                policies.filter(|policy| selects(&policy["spec"]["podSelector"], labels)).collect();
            let closed =
                own.iter().any(|policy| policy["spec"]["policyTypes"] == json!(["Ingress", "Egress"]));
            assert!(closed, "{overlay}: {service}");
        }
    }
}

/// A pod whose traffic is restricted can ask for nobody's address, unless some policy says so.
#[test]
fn every_pod_may_ask_for_names() {
    for (overlay, manifests) in overlays() {
        let mut asked = 0;
        for kind in ["Deployment", "Job"] {
            for (name, object) in manifests.of_kind(kind) {
                let labels = &pod(object)["metadata"]["labels"];
                let policies = manifests.of_kind("NetworkPolicy").into_values();
                let own: Vec<&Value> =
                    policies.filter(|policy| selects(&policy["spec"]["podSelector"], labels)).collect();
                let rules =
                    own.iter().flat_map(|policy| policy["spec"]["egress"].as_array().into_iter().flatten());
                let ports = rules.flat_map(|rule| rule["ports"].as_array().into_iter().flatten());
                let names = ports.filter(|port| port["port"] == 53).count();
                assert!(own.is_empty() || names >= 2, "{overlay}: {name}");
                asked += 1;
            }
        }
        assert!(asked >= 3, "{overlay}: {asked}");
    }
}
