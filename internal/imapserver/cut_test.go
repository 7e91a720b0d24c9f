package imapserver

import (
	"regexp"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

// cutProbes has for each capability a command that answers like works where
// the capability is there, and otherwise where it is cut. Those before login
// are marked by "!", and ones that need a mailbox not to be selected by "-".
var cutProbes = map[string]struct{ command, works string }{
	"ANNOTATE-EXPERIMENT-1": {`FETCH 1 (ANNOTATION (/comment value))`, `a OK`},
	"APPENDLIMIT":           {`-STATUS INBOX (APPENDLIMIT)`, `APPENDLIMIT \d+`},
	"AUTH=LOGIN":            {"!AUTHENTICATE LOGIN\r\n*", `\+ `},
	"ACL":                   {`GETACL INBOX`, `a OK`},
	"AUTH=PLAIN":            {"!AUTHENTICATE PLAIN AGFkYQBzZWNyZXQ=", `a OK`},
	"BINARY":                {`FETCH 1 BINARY.PEEK[]`, `a OK`},
	"CATENATE":              {"APPEND INBOX CATENATE (TEXT {3+}\r\nabc)", `a OK`},
	"CHILDREN":              {`LIST "" *`, `HasNoChildren`},
	"COMPRESS=DEFLATE":      {`COMPRESS DEFLATE`, `a OK`},
	"CONDSTORE":             {`FETCH 1 FLAGS (CHANGEDSINCE 1)`, `a OK`},
	"CONTEXT=SEARCH":        {`SEARCH RETURN (UPDATE) ALL`, `a OK`},
	"CONTEXT=SORT":          {`SORT RETURN (UPDATE) (DATE) UTF-8 ALL`, `a OK`},
	"CREATE-SPECIAL-USE":    {`CREATE x (USE (\Important))`, `a OK`},
	"ENABLE":                {`ENABLE CONDSTORE`, `a OK`},
	"ESEARCH":               {`SEARCH RETURN (COUNT) ALL`, `a OK`},
	"ESORT":                 {`SORT RETURN (COUNT) (DATE) UTF-8 ALL`, `a OK`},
	"FILTERS":               {`SEARCH FILTER x`, `UNDEFINED-FILTER`},
	"I18NLEVEL=2":           {`COMPARATOR`, `a OK`},
	"ID":                    {`ID NIL`, `a OK`},
	"IDLE":                  {"IDLE\r\nDONE", `\+ idling`},
	"IMAP4rev2":             {`ENABLE IMAP4rev2`, `ENABLED IMAP4rev2`},
	"LANGUAGE":              {`LANGUAGE`, `a OK`},
	"LIST-EXTENDED":         {`LIST "" (INBOX)`, `a OK`},
	"LIST-METADATA":         {`LIST "" INBOX RETURN (METADATA (/private/comment))`, `a OK`},
	"LIST-MYRIGHTS":         {`LIST "" INBOX RETURN (MYRIGHTS)`, `a OK`},
	"LIST-STATUS":           {`LIST "" INBOX RETURN (STATUS (MESSAGES))`, `a OK`},
	"LITERAL+":              {"-STATUS {5+}\r\nINBOX (MESSAGES)", `a OK`},
	"LITERAL-":              {"-STATUS {5+}\r\nINBOX (MESSAGES)", `a OK`},
	"METADATA":              {`SETMETADATA "" (/private/comment NIL)`, `a OK`},
	"MOVE":                  {`MOVE 1 Archive`, `a OK`},
	"MULTIAPPEND":           {"APPEND INBOX {1+}\r\nx {1+}\r\ny", `a OK`},
	"MULTISEARCH":           {`ESEARCH IN (PERSONAL) ALL`, `a OK`},
	"NAMESPACE":             {`NAMESPACE`, `a OK`},
	"NOTIFY":                {`NOTIFY NONE`, `a OK`},
	"OBJECTID":              {`FETCH 1 EMAILID`, `a OK`},
	"PARTIAL":               {`UID FETCH 1 FLAGS (PARTIAL 1:1)`, `a OK`},
	"PREVIEW":               {`FETCH 1 PREVIEW`, `a OK`},
	"QRESYNC":               {`ENABLE QRESYNC`, `ENABLED QRESYNC`},
	"QUOTA":                 {`GETQUOTAROOT INBOX`, `a OK`},
	"QUOTA=RES-MESSAGE":     {`GETQUOTAROOT INBOX`, `MESSAGE \d+`},
	"QUOTA=RES-STORAGE":     {`-STATUS INBOX (DELETED-STORAGE)`, `a OK`},
	"REPLACE":               {"REPLACE 1 INBOX {1+}\r\nx", `a OK`},
	"SASL-IR":               {"!AUTHENTICATE PLAIN AGFkYQBzZWNyZXQ=", `a OK`},
	"SAVEDATE":              {`FETCH 1 SAVEDATE`, `a OK`},
	"SEARCH=FUZZY":          {`SEARCH FUZZY SUBJECT x`, `a OK`},
	"SEARCHRES":             {`FETCH $ FLAGS`, `a OK`},
	"SORT":                  {`SORT (DATE) UTF-8 ALL`, `a OK`},
	"SORT=DISPLAY":          {`SORT (DISPLAYFROM) UTF-8 ALL`, `a OK`},
	"SPECIAL-USE":           {`LIST "" *`, `\\Trash`},
	"STARTTLS":              {`!STARTTLS`, `a OK`},
	"STATUS=SIZE":           {`-STATUS INBOX (SIZE)`, `a OK`},
	"THREAD=ORDEREDSUBJECT": {`THREAD ORDEREDSUBJECT UTF-8 ALL`, `a OK`},
	"THREAD=REFERENCES":     {`THREAD REFERENCES UTF-8 ALL`, `a OK`},
	"THREAD=REFS":           {`THREAD REFS UTF-8 ALL`, `a OK`},
	"UIDBATCHES":            {`UIDBATCHES 500`, `a OK`},
	"UIDONLY":               {`ENABLE UIDONLY`, `ENABLED UIDONLY`},
	"UIDPLUS":               {`UID EXPUNGE 1`, `a OK`},
	"UNAUTHENTICATE":        {`UNAUTHENTICATE`, `a OK`},
	"UNSELECT":              {`UNSELECT`, `a OK`},
	"URL-PARTIAL":           {`GENURLAUTH imap://ada@x/INBOX/;UID=1/;PARTIAL=0.1;URLAUTH=authuser INTERNAL`, `a OK`},
	"URLAUTH":               {`RESETKEY`, `a OK`},
	"UTF8=ACCEPT":           {`ENABLE UTF8=ACCEPT`, `ENABLED UTF8=ACCEPT`},
	"WITHIN":                {`SEARCH OLDER 1`, `a OK`},
	"X-GM-EXT-1":            {`FETCH 1 X-GM-LABELS`, `a OK`},
	"XAPPLEPUSHSERVICE":     {`XAPPLEPUSHSERVICE aps-version 2 aps-account-id a aps-device-token ab aps-subtopic com.apple.mobilemail mailboxes (INBOX)`, `a OK`},
	"XLIST":                 {`XLIST "" *`, `a OK`},
	// It only says something after a while: TestProgress.
	"INPROGRESS": {},
}

// cutOptions are those without which a capability is not there.
var cutOptions = map[string]Options{"LITERAL-": {LiteralMinus: true}, "XAPPLEPUSHSERVICE": {ApplePush: pushTopic}}

// probe sends a probe's command to a new session and returns what comes back.
func probe(t *testing.T, addr, command string) string {
	c := servertest.Dial(t, addr)
	defer c.Close()
	var answer strings.Builder
	say := func(command string) {
		c.Send(t, "a "+command+"\r\n")
		for answer.Reset(); ; {
			line := c.Line()
			answer.WriteString(line + "\n")
			if !strings.HasPrefix(line, "* ") {
				return
			}
		}
	}
	c.Line()
	before, early := strings.CutPrefix(command, "!")
	apart, unselected := strings.CutPrefix(command, "-")
	if early {
		say(before)
		return answer.String()
	}
	say("LOGIN ada secret")
	if unselected {
		say(apart)
		return answer.String()
	}
	say("APPEND INBOX {1+}\r\nx")
	say("SELECT INBOX")
	say(command)
	return answer.String()
}

// TestEachCapabilityCut: what is cut is not advertised and does not work, and
// the rest is. A capability needs a probe.
func TestEachCapabilityCut(t *testing.T) {
	s := servertest.New(t)
	var q store.Quota
	q.Set(store.MessageCount, 10_000)
	s.Store.SetDefaultQuota(q)
	listen := func(o Options) string {
		o.Log, o.Offer = s.Log, Optional
		return s.Listen(t, netserver.ListenerOptions{Protocol: "imap", Handler: New(s.Store, s.Auth, o).On("imap")})
	}
	plain := listen(Options{})
	for _, name := range Capabilities() {
		p, ok := cutProbes[name]
		if !ok {
			t.Errorf("cutProbes has no command that shows whether %s works", name)
		}
		if !ok || p.command == "" {
			continue
		}
		o, special := cutOptions[name]
		whole := plain
		if special {
			whole = listen(o)
		}
		works := regexp.MustCompile(p.works)
		if got := probe(t, whole, p.command); !works.MatchString(got) {
			t.Errorf("%s uncut: %q", name, got)
		}
		o.Cuts = []Cut{{Capabilities: []string{name}}}
		cut := listen(o)
		if got := probe(t, cut, p.command); works.MatchString(got) {
			t.Errorf("%s cut: %q", name, got)
		}
		got := probe(t, cut, "!CAPABILITY")
		if strings.Contains(got, " "+name+" ") || strings.Contains(got, " "+name+"=") || !strings.Contains(got, "IMAP4rev1") {
			t.Errorf("%s cut: %q", name, got)
		}
	}
}

// TestCutDependents: what does not work without a capability goes with it, and
// a general name stands for all of its kind.
func TestCutDependents(t *testing.T) {
	for name, want := range map[string]string{
		"condstore": "CONDSTORE QRESYNC",
		"THREAD":    "THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS",
		"SORT":      "SORT SORT=DISPLAY ESORT CONTEXT=SORT",
		"CONTEXT":   "CONTEXT=SEARCH CONTEXT=SORT",
		"MOVE":      "MOVE IMAP4rev2",
		"QUOTA":     "QUOTA QUOTA=RES-MESSAGE QUOTA=RES-STORAGE",
		"AUTH":      "AUTH=LOGIN AUTH=PLAIN",
		"SORTED":    "",
		"xlist":     "XLIST",
	} {
		got := (&Cut{Capabilities: []string{name}}).names()
		if len(got) != len(strings.Fields(want)) {
			t.Errorf("%s: %v", name, got)
		}
		for _, w := range strings.Fields(want) {
			if !got[w] {
				t.Errorf("%s does not cut %s: %v", name, w, got)
			}
		}
	}
	for name, needs := range dependents {
		for _, n := range append(needs, name) {
			if (&Cut{Capabilities: []string{n}}).names()[n] != true {
				t.Errorf("%s in dependents is no capability", n)
			}
		}
	}
}

func TestLike(t *testing.T) {
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"iPhone Mail", "iphone mail", true}, {"iPhone", "iPhone Mail", false}, {"iPhone*", "iPhone Mail", true}, {"*", "", true},
		{"*@example.org", "ada@example.org", true}, {"*@example.org", "ada@example.com", false}, {"a*b*c", "abc", true}, {"a*b*c", "a1b2c", true},
		{"a*b*c", "acb", false}, {"a*a", "a", false}, {"", "", true}, {"a**", "a", true}, {strings.Repeat("*a", 50) + "b", strings.Repeat("a", 10_000), false},
	} {
		if got := like(tc.pattern, tc.text); got != tc.want {
			t.Errorf("%q is like %.20q: %v", tc.text, tc.pattern, got)
		}
	}
}

// TestCutConditions: per listener, user and client, together and alone.
func TestCutConditions(t *testing.T) {
	s := servertest.New(t)
	srv := New(s.Store, s.Auth, Options{Log: s.Log, Cuts: []Cut{
		{Capabilities: []string{"NOTIFY"}, Listeners: []string{"imap=:1"}},
		{Capabilities: []string{"UNSELECT"}, Listeners: []string{"imaps"}},
		{Capabilities: []string{"MOVE"}, Users: []string{"ada@*"}},
		{Capabilities: []string{"IDLE"}, Users: []string{"bela@localhost"}, Clients: []string{"Phone/1.*", "Pad"}},
	}})
	for _, tc := range []struct{ listener, user, client, gone string }{
		{"imap=:1", "ada", "", "NOTIFY MOVE"},
		{"imap=:2", "ada", "", "MOVE"},
		{"imaps=:1", "bela", "", "UNSELECT"},
		{"imaps", "bela", `"name" "pad"`, "UNSELECT IDLE"},
		{"imap=:2", "bela", `"name" "Phone" "version" "1.5"`, "IDLE"},
		{"imap=:2", "bela", `"Version" "1.5" "Name" "Phone"`, "IDLE"},
		{"imap=:2", "bela", `"name" "Phone" "version" "2"`, ""},
		{"imap=:2", "bela", `"name" NIL`, ""},
		{"imap=:2", "ada", `"name" "Pad"`, "MOVE"},
	} {
		c := servertest.Dial(t, s.Listen(t, netserver.ListenerOptions{Protocol: "imap", Handler: srv.On(tc.listener)}))
		if got := c.Line(); !strings.Contains(got, " MOVE ") {
			t.Errorf("%+v: before anybody logged in: %s", tc, got)
		}
		c.Send(t, "a LOGIN "+tc.user+" secret\r\n")
		caps := c.Line()
		if tc.client != "" {
			c.Send(t, "b ID ("+tc.client+")\r\nc CAPABILITY\r\n")
			for line := ""; !strings.HasPrefix(line, "c OK"); line = c.Line() {
				if strings.HasPrefix(line, "* CAPABILITY") {
					caps = line
				}
			}
		}
		for _, name := range []string{"NOTIFY", "UNSELECT", "MOVE", "IDLE"} {
			gone := strings.Contains(tc.gone, name)
			if has := strings.Contains(caps+" ", " "+name+" "); has == gone {
				t.Errorf("%+v: %s", tc, caps)
			}
		}
	}
}

// TestOptional: what is optional is there only when it is offered.
func TestOptional(t *testing.T) {
	s := newTestServer(t, Options{})
	for _, name := range Optional {
		if got := probe(t, s.addr, "!CAPABILITY"); strings.Contains(got, " "+name) {
			t.Errorf("%s: %s", name, got)
		}
		if got := probe(t, s.addr, cutProbes[name].command); regexp.MustCompile(cutProbes[name].works).MatchString(got) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestCutTold: a client whose ID cuts something is told so at once (RFC 3501
// §7.2.1), and UNAUTHENTICATE ends what depended on user and client.
func TestCutTold(t *testing.T) {
	s := newTestServer(t, Options{Cuts: []Cut{{Capabilities: []string{"IDLE"}, Clients: []string{"Pad"}}, {Capabilities: []string{"MOVE"}, Users: []string{"*"}}}})
	c := s.dial(t)
	servertest.Play(t, []string{
		`S~ \* OK .* IDLE .*`,
		`C: a ID ("name" "Pad")`,
		`S~ \* CAPABILITY IMAP4rev1 LITERAL\+ .*`,
		`S: * ID ("name" "Angarium")`,
		`S: a OK ID completed`,
		`C: b ID ("name" "Pad")`,
		`S: * ID ("name" "Angarium")`,
		`S: b OK ID completed`,
		`C: c LOGIN ada secret`,
		`S~ c OK .*`,
		`C: d IDLE`,
		`S: d BAD unknown command IDLE`,
		`C: e SELECT INBOX`,
		`S* e OK .*`,
		`C: f UID MOVE 1 Archive`,
		`S: f BAD unknown command MOVE`,
		`C: g UNAUTHENTICATE`,
		`S: g OK UNAUTHENTICATE completed`,
		`C: h CAPABILITY`,
		`S~ \* CAPABILITY .* IDLE .* MOVE .*`,
		`S: h OK CAPABILITY completed`,
	}, func() *servertest.Client { return c })
}

// TestWorkarounds: each cuts something from clients that it names.
func TestWorkarounds(t *testing.T) {
	for name, cut := range Workarounds {
		if len(cut.names()) == 0 || len(cut.Clients) == 0 || name != strings.ToLower(name) {
			t.Errorf("%s: %+v", name, cut)
		}
		c := newTestServer(t, Options{Cuts: []Cut{cut}}).dial(t)
		c.Line()
		c.Send(t, "a ID (\"name\" \""+cut.Clients[0]+"\")\r\n")
		if got := c.Line(); !strings.HasPrefix(got, "* CAPABILITY ") || strings.Contains(got, cut.Capabilities[0]) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
