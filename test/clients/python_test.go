package clients

import (
	"path/filepath"
	"testing"
)

// TestPython uses imaplib, poplib and smtplib.LMTP of Python's library.
func TestPython(t *testing.T) {
	need(t, "python3")
	s := start(t)
	out := must(t, t.TempDir(), pythonSession, "python3", "-", port(s.IMAP), port(s.IMAPS), port(s.POP3), port(s.LMTP), filepath.Join(s.Data, "tls", "self-signed.crt"), user, password)
	if out != "done\n" {
		t.Error(out)
	}
}

const pythonSession = `
import imaplib, poplib, smtplib, ssl, sys
imap, imaps, pop3, lmtp = map(int, sys.argv[1:5])
cert, user, password = sys.argv[5:8]
tls = ssl.create_default_context(cafile=cert)

def eq(got, want):
    assert got == want, "got %r, want %r" % (got, want)

message = b"Subject: from python\r\n\r\n.dot\r\nbody \xc3\xbc\r\n"
with smtplib.LMTP("127.0.0.1", lmtp) as c:
    refused = c.sendmail("a@x.example", [user, "nobody@localhost"], message)
    eq(list(refused), ["nobody@localhost"])
    eq(refused["nobody@localhost"][0], 550)

c = imaplib.IMAP4_SSL("127.0.0.1", imaps, ssl_context=tls)
eq(c.login(user, password)[0], "OK")
assert "IDLE" in c.capabilities and "UIDPLUS" in c.capabilities, c.capabilities
typ, data = c.select("INBOX")
eq((typ, data), ("OK", [b"1"]))
typ, data = c.fetch("1", "(UID RFC822)")
assert data[0][1].endswith(message), data
typ, data = c.search(None, "SUBJECT", '"from python"')
eq(data, [b"1"])
eq(c.append("Sent", r"(\Seen)", imaplib.Time2Internaldate(1700000000), message)[0], "OK")
eq(c.create('"Entw&APw-rfe"')[0], "OK")
eq(c.copy("1", '"Entw&APw-rfe"')[0], "OK")
typ, data = c.status('"Entw&APw-rfe"', "(MESSAGES UNSEEN)")
assert b"MESSAGES 1" in data[0], data
typ, data = c.store("1", "+FLAGS", r"(\Deleted)")
assert b"Deleted" in data[0], data
eq(c.expunge(), ("OK", [b"1"]))
eq(c.rename('"Entw&APw-rfe"', "Drafts2")[0], "OK")
typ, data = c.list('""', "Drafts*")
eq(len(data), 2)
eq(c.namespace()[0], "OK")
typ, data = c.uid("MOVE", "1", "Trash")
eq(typ, "OK")
eq(c.close()[0], "OK")
eq(c.logout()[0], "BYE")

c = imaplib.IMAP4("127.0.0.1", imap)
eq(c.starttls(tls)[0], "OK")
c.authenticate("PLAIN", lambda _: b"\0" + user.encode() + b"\0" + password.encode())
typ, data = c.select("Sent", readonly=True)
typ, data = c.fetch("1", "(FLAGS INTERNALDATE BODY.PEEK[])")
eq(data[0][1], message)
c.logout()
try:
    imaplib.IMAP4("127.0.0.1", imap).login(user, "wrong")
    raise SystemExit("a wrong password was taken")
except imaplib.IMAP4.error as e:
    assert "AUTHENTICATIONFAILED" in str(e), e

with smtplib.LMTP("127.0.0.1", lmtp) as c:
    c.sendmail("a@x.example", [user], message)
p = poplib.POP3("127.0.0.1", pop3)
p.stls(tls)
p.user(user)
p.pass_(password)
n, size = p.stat()
eq(n, 1)
resp, lines, octets = p.retr(1)
eq(lines[-2:], [b".dot", b"body \xc3\xbc"])
eq(len(p.uidl()[1]), 1)
eq(len(p.top(1, 1)[1]), len(lines) - 1)
p.dele(1)
p.quit()
print("done")
`
