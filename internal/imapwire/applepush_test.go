package imapwire

import (
	"fmt"
	"strings"
	"testing"
)

// TestApplePush: what Mail on iOS sends, as its own or in other forms, and what
// is no registration.
func TestApplePush(t *testing.T) {
	const one = `aps-version "2" aps-account-id "0715A26B-CA09-4730-A419-793000CA982E" aps-device-token "29182913" aps-subtopic "com.apple.mobilemail"`
	plain := ApplePush{Version: 2, AccountID: "0715A26B-CA09-4730-A419-793000CA982E", Device: "\x29\x18\x29\x13", Subtopic: "com.apple.mobilemail"}
	with := func(mailboxes ...string) ApplePush {
		p := plain
		p.Mailboxes = append([]string{}, mailboxes...)
		return p
	}
	for in, want := range map[string]ApplePush{
		one: plain,
		`"aps-version" "2" "aps-account-id" "0715A26B-CA09-4730-A419-793000CA982E" "aps-device-token" "29182913" "aps-subtopic" "com.apple.mobilemail" "mailboxes" ("INBOX" "Sent Messages")`: with("INBOX", "Sent Messages"),
		`APS-SUBTOPIC com.apple.mobilemail mailboxes (&ANw-bung) aps-device-token {8+}` + "\r\n29182913 aps-version 2 aps-account-id 0715A26B-CA09-4730-A419-793000CA982E":                    with("Übung"),
		one + ` mailboxes ()`: with(),
		one + ` sender "ada@example.org" x (a "b" ()) mailboxes (INBOX)`: {},
		one + ` sender "ada@example.org" x (a "b") mailboxes (INBOX)`:    with("INBOX"),
		strings.Replace(one, `"2"`, `"17"`, 1):                           {Version: 17, AccountID: plain.AccountID, Device: plain.Device, Subtopic: plain.Subtopic},
		``:                                                               {},
		`aps-version`:                                                    {},
		`aps-version "2"`:                                                {},
		one + ` `:                                                        {},
		one + ` x`:                                                       {},
		one + ` aps-version 2`:                                           {},
		one + ` mailboxes INBOX`:                                         {},
		one + ` mailboxes (INBOX`:                                        {},
		strings.Replace(one, `"2"`, `"0"`, 1):                            {},
		strings.Replace(one, `"2"`, `"two"`, 1):                          {},
		strings.Replace(one, `"2"`, `""`, 1):                             {},
		strings.Replace(one, `"2"`, `"99999999999999999999"`, 1):         {},
		strings.Replace(one, `"29182913"`, `"2918291"`, 1):               {},
		strings.Replace(one, `"29182913"`, `"xyz0"`, 1):                  {},
		strings.Replace(one, `"29182913"`, `""`, 1):                      {},
		strings.Replace(one, `"29182913"`, strings.Repeat("ab", 101), 1): {},
		strings.Replace(one, `com.apple.mobilemail`, `c\"`, 1):           {Version: 2, AccountID: plain.AccountID, Device: plain.Device, Subtopic: `c"`},
		strings.Replace(one, `com.apple.mobilemail`, `cöm`, 1):           {},
		strings.Replace(one, `0715A26B`, strings.Repeat("x", 80), 1):     {},
		one + strings.Repeat(" x", 2000):                                 {},
		one + ` mailboxes (` + strings.Repeat("a ", 1000) + `a)`:         {},
	} {
		d, _ := decode(t, in)
		p := d.ApplePush()
		err := d.End()
		if bad := want.Version == 0; bad != (err != nil) {
			t.Errorf("%.200q: %v", in, err)
		} else if got, want := fmt.Sprintf("%#v", p), fmt.Sprintf("%#v", want); !bad && got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	d, _ := decode(t, strings.Replace(one, `"29182913"`, strings.Repeat("ab", 100), 1)+` mailboxes (`+strings.Repeat("a ", 999)+`a)`)
	if p := d.ApplePush(); d.End() != nil || len(p.Device) != 100 || len(p.Mailboxes) != 1000 {
		t.Errorf("at the limits: %v", d.Err())
	}
	many := one
	for i := range applePushWordsMax - 4 {
		many += fmt.Sprintf(" x%d y", i)
	}
	for in, ok := range map[string]bool{many: true, many + " z y": false} {
		d, _ := decode(t, in)
		if d.ApplePush(); (d.End() == nil) != ok {
			t.Errorf("%q: %v", in, d.Err())
		}
	}
}

// FuzzApplePush: what is taken can be sent to Apple.
func FuzzApplePush(f *testing.F) {
	fuzzDecoder(f, func(d *Decoder) {
		p := d.ApplePush()
		if d.Err() != nil {
			return
		}
		if p.Version < 1 || p.Device == "" || len(p.Device) > applePushTextMax || p.AccountID == "" || len(p.AccountID) > applePushTextMax || len(p.Mailboxes) > applePushMailboxesMax {
			panic(fmt.Sprintf("%+v", p))
		}
	}, "aps-version 2 aps-account-id a aps-device-token ab aps-subtopic com.apple.mobilemail mailboxes (INBOX {1+}\r\nx)\r\n",
		"aps-subtopic \"\\\"\" mailboxes () aps-version {1+}\r\n1 aps-device-token \"00\" sender (a b) aps-account-id x\r\n")
}
