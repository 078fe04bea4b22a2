//! What is said to a mail server before the message itself.

use lettre::{
    address::{Address, Envelope},
    transport::smtp::{
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Rcpt},
        extension::{Extension, MailBodyParameter, MailParameter},
    },
};

use super::MailError;

/// Names sender and recipients. Until the server has asked for the message, which it has when this returns, nothing
/// can be on its way.
pub(super) async fn announce(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
) -> Result<(), MailError> {
    let parameters = parameters(connection, envelope, message)?;
    let failed = |error| MailError::announcing(&error);
    connection.command(Mail::new(envelope.from().cloned(), parameters)).await.map_err(failed)?;
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(failed)?;
    }
    connection.command(Data).await.map_err(failed)?;
    Ok(())
}

/// What goes beyond ASCII has to be announced, to a server that can.
fn parameters(
    connection: &AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
) -> Result<Vec<MailParameter>, MailError> {
    let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    let beyond_ascii = !envelope.from().into_iter().chain(envelope.to()).all(is_ascii);
    let needs = [
        (beyond_ascii, Extension::SmtpUtfEight, MailParameter::SmtpUtfEight),
        (!message.is_ascii(), Extension::EightBitMime, MailParameter::Body(MailBodyParameter::EightBitMime)),
    ];
    let mut parameters = Vec::new();
    for (_, extension, parameter) in needs.into_iter().filter(|(needed, ..)| *needed) {
        if !connection.server_info().supports_feature(extension) {
            return Err(MailError::Message(format!("this server does not offer {extension}")));
        }
        parameters.push(parameter);
    }
    Ok(parameters)
}
