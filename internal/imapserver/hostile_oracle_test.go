package imapserver

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

// The names of these tests are those of the attacks in the reliability paper.

// oracles has for each command what could tell of another account: $box is a
// mailbox, $user a user, and $id an EMAILID that are there for somebody else,
// or nowhere. Commands that name none have nil.
var oracles = map[string][]string{
	"SELECT": {"SELECT $box", `SELECT "Other Users/$user"`, `SELECT "user/$user/$box"`}, "EXAMINE": {"EXAMINE $box"},
	"CREATE": {"CREATE $box\r\nb DELETE $box", "CREATE user/$user\r\nb DELETE user/$user"}, "DELETE": {"DELETE $box"},
	"RENAME": {"RENAME $box else", "RENAME Sent $box\r\nb RENAME $box Sent"}, "SUBSCRIBE": {"SUBSCRIBE $box\r\nb UNSUBSCRIBE $box"}, "UNSUBSCRIBE": {"UNSUBSCRIBE $box"},
	"LIST": {`LIST "" $box`, `LIST "user/$user" %`, `LIST "~$user/" *`, `LIST "#user/$user/" *`}, "XLIST": {`XLIST "" $box`}, "LSUB": {`LSUB "" $box`},
	"GETMETADATA": {"GETMETADATA $box /shared/comment"}, "SETMETADATA": {"SETMETADATA $box (/shared/comment \"x\")"},
	"STATUS": {"STATUS $box (MESSAGES)"}, "NOTIFY": {"NOTIFY SET STATUS (mailboxes $box (MessageNew MessageExpunge))", "NOTIFY SET STATUS (subtree user/$user (MessageNew MessageExpunge))"},
	"APPEND": {"APPEND $box {1+}\r\nx", `APPEND INBOX CATENATE (URL "/$box/;UID=1")`, `APPEND INBOX CATENATE (URL "imap://$user@h/INBOX/;UID=1")`},
	"GENURLAUTH": {`GENURLAUTH "imap://$user@h/INBOX/;uid=1;urlauth=authuser" INTERNAL`, `GENURLAUTH "imap://ada@h/$box/;uid=1;urlauth=authuser" INTERNAL`,
		`GENURLAUTH "imap://ada@h/Empty/;uid=1;urlauth=user+$user" INTERNAL`},
	"URLFETCH": {`URLFETCH "imap://$user@h/INBOX/;uid=1;urlauth=authuser:internal:01ff"`, `URLFETCH "imap://bela@h/$box/;uid=1;urlauth=authuser:internal:01ff"`,
		`URLFETCH "imap://$user@h/INBOX/;uid=1;urlauth=user+$user:internal:` + strings.Repeat("0", 66) + `"`, `URLFETCH "imap://$user@h/INBOX/;uid=1"`},
	"GETQUOTA": {"GETQUOTA $user@localhost", "GETQUOTA $user"}, "GETQUOTAROOT": {"GETQUOTAROOT $box", "GETQUOTAROOT user/$user"},
	"SETACL": {"SETACL $box eve lr", "SETACL INBOX $user lr\r\nb DELETEACL INBOX $user"}, "DELETEACL": {"DELETEACL $box eve", "DELETEACL INBOX $user"},
	"GETACL": {"GETACL $box"}, "LISTRIGHTS": {"LISTRIGHTS $box eve", "LISTRIGHTS INBOX $user"}, "MYRIGHTS": {"MYRIGHTS $box"},
	"RESETKEY": {"RESETKEY $box", "RESETKEY $box INTERNAL"}, "ESEARCH": {"ESEARCH IN (mailboxes $box) ALL", "ESEARCH IN (subtree user/$user) ALL"},
	"XAPPLEPUSHSERVICE": {`XAPPLEPUSHSERVICE aps-version 2 aps-account-id a aps-device-token ab aps-subtopic com.apple.mobilemail mailboxes ($box user/$user "Other Users/$user" INBOX)`},
	"SEARCH":            {"SEARCH EMAILID $id"}, "SORT": {"SORT (DATE) UTF-8 EMAILID $id"}, "THREAD": {"THREAD REFERENCES UTF-8 EMAILID $id"},
	"COPY": {"COPY 1 $box"}, "MOVE": {"MOVE 1 $box"}, "REPLACE": {"REPLACE 1 $box {1+}\r\nx"},
	"LOGIN": {"UNAUTHENTICATE\r\nb LOGIN $user wrong"}, "AUTHENTICATE": nil, // TestA28Login
	"CAPABILITY": nil, "NOOP": nil, "LOGOUT": nil, "ID": nil, "STARTTLS": nil, "UNAUTHENTICATE": nil, "COMPRESS": nil, "LANGUAGE": nil, "COMPARATOR": nil,
	"ENABLE": nil, "NAMESPACE": nil, "IDLE": nil, "CHECK": nil, "CLOSE": nil, "UIDBATCHES": nil, "UNSELECT": nil, "EXPUNGE": nil, "CANCELUPDATE": nil, "FETCH": nil, "STORE": nil,
}

// changing are the parts of answers that are others each time.
var changing = regexp.MustCompile(`MAILBOXID \(\w+\)|HIGHESTMODSEQ \d+|UIDVALIDITY \d+|APPENDUID \d+ \d+|:internal:[0-9a-f]+`)

// TestA28: no command tells of another's mailbox, message or account whether it
// is there.
func TestA28(t *testing.T) {
	s := newTestServer(t, Options{Offer: Optional, SubmitUsers: []string{"bela"}, ApplePush: pushTopic})
	out := s.talk(t, []byte("a LOGIN bela secret\r\nb CREATE Hidden\r\nb CREATE user/nobo\r\nb APPEND Hidden {5+}\r\nhello\r\nb APPEND INBOX {1+}\r\nx\r\nb SELECT Hidden\r\nc FETCH 1 EMAILID\r\n"))
	m := regexp.MustCompile(`EMAILID \((\w+)\)`).FindStringSubmatch(out)
	if m == nil || strings.Contains(out, "b NO") {
		t.Fatal(out)
	}
	there := [3]string{"Hidden", "bela", m[1]}
	absent := [3]string{"Absent", "nobo", strings.Repeat("Z", len(m[1]))}
	compareOracles(t, s, there, absent)
	// Who shares one mailbox hides the others.
	s.talk(t, []byte("a LOGIN bela secret\r\nb CREATE Open\r\nb SETACL Open ada lr\r\n"))
	absent[1] = there[1]
	compareOracles(t, s, there, absent)
}

// namedBox is where a command names a mailbox.
var namedBox = regexp.MustCompile(`([ (])\$box`)

// compareOracles wants the same answers about two of what oracles are for.
func compareOracles(t *testing.T, s *testServer, there, absent [3]string) {
	for _, row := range commands {
		templates, ok := oracles[row.name]
		if !ok {
			t.Errorf("%s is not tried", row.name)
		}
		for _, template := range templates {
			if namedBox.MatchString(template) {
				templates = append(templates, namedBox.ReplaceAllString(template, `$1"Other Users/$$user@localhost/$$box"`))
			}
		}
		for _, template := range templates {
			var answers []string
			for _, of := range [][3]string{there, absent} {
				command := strings.NewReplacer("$box", of[0], "$user", of[1], "$id", of[2]).Replace(template)
				out := s.talk(t, []byte("a LOGIN ada secret\r\nb CREATE Empty\r\nb APPEND Empty {1+}\r\nx\r\nb SELECT Empty\r\nt "+command+"\r\nb DELETE Empty\r\n"))
				_, out, _ = strings.Cut(out, "b OK [READ-WRITE]")
				for _, word := range append(there[:], absent[:]...) {
					out = strings.ReplaceAll(out, word, "*")
				}
				answers = append(answers, changing.ReplaceAllString(out, "*"))
			}
			if answers[0] != answers[1] || !strings.Contains(answers[0], "\r\nt ") {
				t.Errorf("%s:\n%s\nelse\n%s", template, answers[0], answers[1])
			}
			if strings.Contains(answers[0], "\r\nt BAD") && row.name != "GENURLAUTH" && row.name != "APPEND" {
				t.Errorf("%s is no command: %s", template, answers[0])
			}
		}
	}
}

// TestA28Login: who cannot log in learns nothing of why.
func TestA28Login(t *testing.T) {
	s := newHostileServer(t, Options{})
	plain := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	want := ""
	for _, command := range []string{
		"LOGIN ada wrong", "LOGIN nobody wrong", "LOGIN ada@elsewhere secret", "LOGIN a+b secret", `LOGIN "" secret`, `LOGIN ada ""`,
		"AUTHENTICATE PLAIN " + plain("\x00ada\x00wrong"), "AUTHENTICATE PLAIN " + plain("\x00nobody\x00wrong"),
		"AUTHENTICATE PLAIN " + plain("bela\x00ada\x00secret"), "AUTHENTICATE PLAIN " + plain("nobody\x00ada\x00secret"), "AUTHENTICATE PLAIN " + plain("bela\x00nobody\x00secret"),
	} {
		_, got, _ := strings.Cut(s.talk(t, []byte("t "+command+"\r\n")), "\r\n")
		if want == "" {
			want = got
		}
		if got != want || !strings.HasPrefix(got, "t NO [AUTHENTICATIONFAILED] ") {
			t.Errorf("%s: %s", command, got)
		}
	}
}
