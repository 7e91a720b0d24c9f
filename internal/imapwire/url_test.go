package imapwire

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/message"
)

const urlToken = "91354a473744909de610943775f92038"

// TestURL: RFC 5092, each URL of §6.1.2, §9 and §9.1, and the grammar of §11.
func TestURL(t *testing.T) {
	section := func(text string, path ...int) Section { return Section{Text: text, Path: path} }
	for text, want := range map[string]URL{
		// §9
		"imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024": {Form: URLAbsolute,
			Host: "minbari.example.org", Mailbox: "gray-council", UIDValidity: 385759045, UID: 20, Partial: true, Count: 1024},
		"imap://psicorp.example.org/~peter/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E5%8F%B0%E5%8C%97": {Form: URLAbsolute,
			Host: "psicorp.example.org", Mailbox: "~peter/日本語/台北"},
		"imap://;AUTH=GSSAPI@minbari.example.org/gray-council/;uid=20/;section=1.2": {Form: URLAbsolute,
			AuthType: "GSSAPI", Host: "minbari.example.org", Mailbox: "gray-council", UID: 20, Section: section("1.2", 1, 2)},
		";section=1.4": {Form: URLRelativePath, Section: section("1.4", 1, 4)},
		"imap://;AUTH=*@minbari.example.org/gray%20council?SUBJECT%20shadows": {Form: URLAbsolute,
			AuthType: "*", Host: "minbari.example.org", Mailbox: "gray council", Search: "SUBJECT shadows"},
		"imap://john;AUTH=*@minbari.example.org/babylon5/personel?charset%20UTF-8%20SUBJECT%20%7B14+%7D%0D%0A%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2%D0%B0": {Form: URLAbsolute,
			User: "john", AuthType: "*", Host: "minbari.example.org", Mailbox: "babylon5/personel", Search: "charset UTF-8 SUBJECT {14+}\r\nИванова"},
		// §9.1
		"/foo/;UID=20/..":                  {Form: URLAbsolutePath, Mailbox: "foo"},
		"/foo":                             {Form: URLAbsolutePath, Mailbox: "foo"},
		";UID=20":                          {Form: URLRelativePath, UID: 20},
		"..;UIDVALIDITY=385759045/;UID=20": {Form: URLRelativePath, Mailbox: "..", UIDValidity: 385759045, UID: 20},
		// §6.1.2
		"imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+fred:internal:" + urlToken: {Form: URLAbsolute,
			User: "joe", Host: "example.com", Mailbox: "INBOX", UID: 20, Section: section("1.2", 1, 2), URLAuth: URLAuth{Access: "submit+", AccessUser: "fred",
				Mechanism: "INTERNAL", Token: urlToken, Rump: "imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+fred"}},
		// §4, §11: servers
		"imap://example.com":                {Form: URLAbsolute, Host: "example.com"},
		"IMAP://example.com:143/":           {Form: URLAbsolute, Host: "example.com", Port: "143"},
		"imap://a%40b.example@[::1]:1143/x": {Form: URLAbsolute, User: "a@b.example", Host: "[::1]", Port: "1143", Mailbox: "x"},
		"//example.com/x":                   {Form: URLNetworkPath, Host: "example.com", Mailbox: "x"},
		"":                                  {},
		"/":                                 {Form: URLAbsolutePath},
		"/a%2e%2e%3b%25/;UID=4294967295":    {Form: URLAbsolutePath, Mailbox: "a..;%", UID: 4294967295},
		"/a/./b/../c/;uid=1":                {Form: URLAbsolutePath, Mailbox: "a/c", UID: 1},
		"/x/;UID=1/;SECTION=HEADER.FIELDS%20(DATE%20a/b)/;PARTIAL=7": {Form: URLAbsolutePath, Mailbox: "x", UID: 1, Partial: true, Offset: 7,
			Section: Section{Text: "HEADER.FIELDS (DATE a/b)", Kind: message.SectionHeader, Fields: []string{"DATE", "a/b"}}},
		";PARTIAL=1.2": {Form: URLRelativePath, Partial: true, Offset: 1, Count: 2},
		// §6.1: URLAUTH
		"imap://joe@x/b/;UID=1/;PARTIAL=0.512;urlauth=anonymous": {Form: URLAbsolute, User: "joe", Host: "x", Mailbox: "b", UID: 1, Partial: true, Count: 512,
			URLAuth: URLAuth{Access: "anonymous", Rump: "imap://joe@x/b/;UID=1/;PARTIAL=0.512;urlauth=anonymous"}},
		"imap://joe@x/b/;UID=1;Expire=2026-11-24t12:00:00.5+01:00;URLAuth=USER+a+%2B": {Form: URLAbsolute, User: "joe", Host: "x", Mailbox: "b", UID: 1,
			URLAuth: URLAuth{Expires: true, Expire: time.Date(2026, 11, 24, 11, 0, 0, 5e8, time.UTC), Access: "user+", AccessUser: "a++",
				Rump: "imap://joe@x/b/;UID=1;Expire=2026-11-24t12:00:00.5+01:00;URLAuth=USER+a+%2B"}},
	} {
		got, ok := ParseURL(text)
		got.Expire = got.Expire.UTC()
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", text, got, ok, want)
		}
	}
}

// TestNoURL: what RFC 5092 §11 does not allow.
func TestNoURL(t *testing.T) {
	for _, text := range []string{
		"http://example.com/", "imaps://example.com/x", "imap:/x", "imap://", "imap:///x", "imap://@x/y", "imap://u;@x/y", "imap://u;AUTH=@x/y",
		"imap://a@b@c/x", "imap://x:port/", "imap://x:70000/", "imap://[::1/x", "imap://[::1]x/y", "imap://x?y", "/?x", "/x?", "/x/;UID=1?y",
		"/;UID=1", "imap://x/;UID=1", "/x/;UID=0", "/x/;UID=", "/x/;UID=-1", "/x/;UID=4294967296", "/x/;UID=1/", "/x;UID=1", "/x/;UID=1;SECTION=1",
		"/x;UIDVALIDITY=0/;UID=1", "/x;UIDVALIDITY=a/;UID=1", "/x/;SECTION=1", "/x/;PARTIAL=1", "x/;SECTION=1", "/x/;UID=1/;SECTION=", "/x/;UID=1/;SECTION=0",
		"/x/;UID=1/;SECTION=X", "/x/;UID=1/;PARTIAL=", "/x/;UID=1/;PARTIAL=1.", "/x/;UID=1/;PARTIAL=1.0", "/x/;UID=1/;PARTIAL=1.2.3",
		"/x/;UID=1/;PARTIAL=1/;SECTION=1", "/x/;UID=1/;FOO=1", "/x y", "/x%", "/x%4", "/x%zz", "/x%00", "/x%ff", "/ä", "/x\r\n", "/x;y", "/x#y",
		// iurlauth
		"/x/;UID=1;EXPIRE=2026-11-24T12:00:00Z", "/x/;UID=1;EXPIRE=2026-11-24;URLAUTH=anonymous", "/x/;UID=1;EXPIRE=;URLAUTH=anonymous",
		"/x/;UID=1;URLAUTH=anonymous;EXPIRE=2026-11-24T12:00:00Z", "/x/;UID=1;URLAUTH=", "/x/;UID=1;URLAUTH=user+", "/x/;UID=1;URLAUTH=+u",
		"/x/;UID=1;URLAUTH=anonymous:", "/x/;UID=1;URLAUTH=anonymous:internal", "/x/;UID=1;URLAUTH=anonymous:internal:" + urlToken[1:],
		"/x/;UID=1;URLAUTH=anonymous:internal:" + urlToken + "z", "/x/;UID=1;URLAUTH=anonymous::" + urlToken, "/x/;UID=1;URLAUTH=anonymous:a_b:" + urlToken,
		"/x;URLAUTH=anonymous", "/x/;UID=1/;URLAUTH=anonymous", ";UID=1;URLAUTH=anonymous", "/x/;UID=1;URLAUTH=anonymous:internal:" + urlToken + "/a/..",
		"/" + strings.Repeat("x", URLMax),
	} {
		if u, ok := ParseURL(text); ok {
			t.Errorf("%s: %+v", text[:min(len(text), 100)], u)
		}
	}
	if _, ok := ParseURL("/" + strings.Repeat("x", URLMax-1)); !ok {
		t.Error("the longest URL is refused")
	}
}

// FuzzURL: what is read is a text without NUL, and the rump is the URL as it
// was written without its verifier (RFC 4467 §6).
func FuzzURL(f *testing.F) {
	f.Add("imap://joe;AUTH=*@[::1]:143/a/../b%20c;UIDVALIDITY=1/;UID=20/;SECTION=1.2/;PARTIAL=0.1;EXPIRE=2026-11-24T12:00:00Z;URLAUTH=submit+fred:internal:" + urlToken)
	f.Add("//x/y?SUBJECT%20z")
	f.Fuzz(func(t *testing.T, text string) {
		u, ok := ParseURL(text)
		if !ok {
			return
		}
		if strings.ContainsRune(u.Mailbox+u.User+u.AccessUser+u.Search, 0) || u.Offset < 0 || u.Count < 0 {
			t.Errorf("%+v", u)
		}
		verifier := ""
		if u.Mechanism != "" {
			verifier = ":" + u.Mechanism + ":" + u.Token
		}
		if u.Access != "" && (!strings.EqualFold(u.Rump+verifier, text) || !strings.HasPrefix(text, u.Rump)) {
			t.Errorf("rump %q and verifier %q of %q", u.Rump, verifier, text)
		}
	})
}
