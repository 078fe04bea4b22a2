# shellcheck shell=bash
# What a Kafka of the tests needs for listeners that demand a certificate or a login over TLS. Needs kafka.sh.

# tls_authority DIR NAME: an authority, DIR/NAME.pem and DIR/NAME.key.
tls_authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$2" \
        -keyout "$1/$2.key" -out "$1/$2.pem" 2>/dev/null
}

# tls_certificate DIR NAME AUTHORITY DAYS: DIR/NAME.pem and DIR/NAME.key for localhost, good for so many days.
tls_certificate() {
    local dir=$1 name=$2 authority=$3 days=$4
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$name" \
        -keyout "$dir/$name.key" -out "$dir/$name.csr" 2>/dev/null
    openssl x509 -req -in "$dir/$name.csr" -CA "$dir/$authority.pem" -CAkey "$dir/$authority.key" -CAcreateserial \
        -days "$days" -extfile <(echo subjectAltName=DNS:localhost) -out "$dir/$name.pem" 2>/dev/null
    cat "$dir/$name.key" "$dir/$name.pem" >"$dir/$name.store"
}

# tls_store LISTENER FILE: the certificate that a listener shows.
tls_store() {
    printf 'listener.name.%s.ssl.keystore.type=PEM\nlistener.name.%s.ssl.keystore.location=%s\n' "$1" "$1" "$2"
}

# kafka_tls DIR PORT: adds to the server in DIR a listener that demands a certificate (PORT), one that demands a login by
# SCRAM-SHA-512 (+1), one that takes any token (+2), and one whose certificate has expired (+3). Its certificates, and
# those of its clients, are in DIR/tls.
kafka_tls() {
    local dir=$1 port=$2 tls=$1/tls server=$1/server.properties listener added='' map=''
    mkdir -p "$tls"
    tls_authority "$tls" ca
    tls_authority "$tls" stranger
    tls_certificate "$tls" server ca 2
    tls_certificate "$tls" expired ca -1
    tls_certificate "$tls" client ca 2
    tls_certificate "$tls" impostor stranger 2
    for listener in MTLS:SSL SCRAM:SASL_SSL TOKEN:SASL_SSL EXPIRED:SSL; do
        added+=",${listener%%:*}://localhost:$((port++))"
        map+=",$listener"
    done
    sed -i -e "/^\(advertised\.\)\?listeners=/s|\$|$added|" \
        -e "/^listener.security.protocol.map=/s|\$|$map|" "$server"
    {
        for listener in mtls scram token; do tls_store "$listener" "$tls/server.store"; done
        tls_store expired "$tls/expired.store"
        cat <<END
listener.name.mtls.ssl.client.auth=required
listener.name.mtls.ssl.truststore.type=PEM
listener.name.mtls.ssl.truststore.location=$tls/ca.pem
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.token.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.token.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule \
  required unsecuredLoginStringClaim_sub="broker";
END
    } >>"$server"
}
