package imapserver

import (
	"context"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
)

// seqUse is what a command does to sequence numbers.
type seqUse uint8

const (
	mayExpunge  seqUse = iota // sync may announce everything
	keepExpunge               // its plain form may not announce expunges (RFC 3501 §7.4.1)
	noSync                    // says nothing unasked
)

// command is a row of the table: what the RFCs say about a command.
type command struct {
	name     string
	cap      string // advertised while the row is here; "" for the base protocol
	states   states
	seqs     seqUse
	uid      bool        // has a form with UIDs (RFC 3501 §6.4.8)
	named    mail.Rights // that the user needs for the mailbox that it names (RFC 4314 §4)
	selected mail.Rights // and for the selected one
	open     bool        // run reads on where parse ended
	light    bool        // is done even when memory is short
	added    bool        // came with the first capability of cap, and is cut with it
	parse    func(s *session, d *imapwire.Decoder) request
}

// isCut reports whether the command is gone with its capability.
func (c *command) isCut(cut cutSet) bool {
	first, _, _ := strings.Cut(c.cap, " ")
	return c.added && cut[first]
}

// request is one parsed command, ready to run.
type request func(ctx context.Context, s *session) error

var commands = []command{
	{name: "CAPABILITY", light: true, states: anyState, parse: bare((*session).capability)},
	{name: "NOOP", light: true, states: anyState, parse: bare((*session).noop)},
	{name: "LOGOUT", light: true, states: anyState, seqs: noSync, parse: bare((*session).logout)},
	{name: "ID", light: true, cap: "ID", added: true, states: anyState, parse: parseID},

	{name: "STARTTLS", light: true, states: notAuthenticated, parse: bare((*session).startTLS)},
	{name: "AUTHENTICATE", cap: "SASL-IR", states: notAuthenticated, parse: parseAuthenticate},
	{name: "LOGIN", states: notAuthenticated, parse: parseLogin},

	{name: "UNAUTHENTICATE", light: true, cap: "UNAUTHENTICATE", added: true, states: afterLogin, seqs: noSync, parse: bare((*session).unauthenticate)},
	{name: "COMPRESS", cap: capCompress, added: true, states: afterLogin, seqs: noSync, parse: parseCompress},
	{name: "LANGUAGE", light: true, cap: "LANGUAGE", added: true, states: anyState, parse: parseLanguage},
	{name: "COMPARATOR", cap: "I18NLEVEL=2", added: true, states: afterLogin, parse: parseComparator},
	{name: "ENABLE", cap: "ENABLE CONDSTORE QRESYNC UIDONLY", added: true, states: afterLogin, parse: parseEnable},
	{name: "SELECT", states: afterLogin, named: mail.RightRead, seqs: noSync, parse: parseSelect},
	{name: "EXAMINE", states: afterLogin, named: mail.RightRead, seqs: noSync, parse: parseExamine},
	{name: "CREATE", cap: "CREATE-SPECIAL-USE", states: afterLogin, parse: parseCreate},
	{name: "DELETE", states: afterLogin, named: mail.RightDelete, parse: parseDelete},
	{name: "RENAME", states: afterLogin, named: mail.RightDelete, parse: parseRename},
	{name: "SUBSCRIBE", states: afterLogin, parse: parseSubscribe},
	{name: "UNSUBSCRIBE", states: afterLogin, parse: parseUnsubscribe},
	{name: "LIST", cap: "LIST-EXTENDED LIST-STATUS LIST-METADATA LIST-MYRIGHTS CHILDREN SPECIAL-USE OBJECTID", states: afterLogin, parse: parseList},
	{name: "XLIST", cap: "XLIST", added: true, states: afterLogin, parse: parseXList},
	{name: "LSUB", states: afterLogin, parse: parseLsub},
	{name: "SETACL", cap: "ACL", added: true, states: afterLogin, named: mail.RightAdminister, parse: parseSetACL},
	{name: "DELETEACL", cap: "ACL", added: true, states: afterLogin, named: mail.RightAdminister, parse: parseDeleteACL},
	{name: "GETACL", cap: "ACL", added: true, states: afterLogin, named: mail.RightAdminister, parse: parseGetACL},
	{name: "LISTRIGHTS", cap: "ACL", added: true, states: afterLogin, named: mail.RightAdminister, parse: parseListRights},
	{name: "MYRIGHTS", cap: "ACL", added: true, states: afterLogin, parse: parseMyRights},
	{name: "NAMESPACE", cap: "NAMESPACE", added: true, states: afterLogin, parse: bare((*session).namespace)},
	{name: "GETMETADATA", cap: "METADATA", added: true, states: afterLogin, named: mail.RightLookup, parse: parseGetMetadata},
	{name: "SETMETADATA", cap: "METADATA", added: true, states: afterLogin, named: mail.RightLookup, parse: parseSetMetadata},
	{name: "STATUS", cap: "STATUS=SIZE", states: afterLogin, named: mail.RightRead, parse: parseStatus},
	{name: "GETQUOTA", cap: "QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE", added: true, states: afterLogin, parse: parseGetQuota},
	{name: "GETQUOTAROOT", cap: "QUOTA", added: true, states: afterLogin, named: mail.RightRead, parse: parseGetQuotaRoot},
	{name: "APPEND", cap: "MULTIAPPEND CATENATE UTF8=ACCEPT", states: afterLogin, named: mail.RightInsert, open: true, parse: parseAppend},
	{name: "GENURLAUTH", cap: "URLAUTH URL-PARTIAL", added: true, states: afterLogin, parse: parseGenURLAuth},
	{name: "URLFETCH", cap: "URLAUTH", added: true, states: afterLogin, parse: parseURLFetch},
	{name: "RESETKEY", cap: "URLAUTH", added: true, states: afterLogin, parse: parseResetKey},
	{name: "NOTIFY", cap: "NOTIFY", added: true, states: afterLogin, parse: parseNotify},
	{name: "XAPPLEPUSHSERVICE", cap: capApplePush, added: true, states: afterLogin, parse: parseApplePush},
	{name: "IDLE", light: true, cap: "IDLE", added: true, states: afterLogin, parse: bare((*session).startIdle)},

	{name: "ESEARCH", cap: "MULTISEARCH INPROGRESS", added: true, states: afterLogin, named: mail.RightRead, parse: parseMultiSearch},

	{name: "CHECK", light: true, states: selected, parse: bare((*session).noop)},
	{name: "CLOSE", light: true, states: selected, seqs: noSync, parse: bare((*session).closeMailbox)},
	{name: "UIDBATCHES", cap: "UIDBATCHES", added: true, states: selected, selected: mail.RightRead, parse: parseUIDBatches},
	{name: "UNSELECT", light: true, cap: "UNSELECT", added: true, states: selected, seqs: noSync, parse: bare((*session).unselect)},
	{name: "EXPUNGE", cap: "UIDPLUS", states: selected, selected: mail.RightRead | mail.RightExpunge, uid: true, parse: parseExpunge},
	{name: "CANCELUPDATE", cap: "CONTEXT=SEARCH CONTEXT=SORT", added: true, states: selected, parse: parseCancelUpdate},
	{name: "SEARCH", cap: "ESEARCH SEARCHRES PARTIAL WITHIN SAVEDATE FILTERS SEARCH=FUZZY", states: selected, seqs: keepExpunge, selected: mail.RightRead, uid: true, parse: parseSearch},
	{name: "SORT", cap: "SORT SORT=DISPLAY ESORT", added: true, states: selected, seqs: keepExpunge, selected: mail.RightRead, uid: true, parse: parseSort},
	{name: "THREAD", cap: "THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS", states: selected, seqs: keepExpunge, selected: mail.RightRead, uid: true, parse: parseThread},
	{name: "FETCH", cap: "BINARY PREVIEW X-GM-EXT-1 ANNOTATE-EXPERIMENT-1", states: selected, seqs: keepExpunge, selected: mail.RightRead, uid: true, parse: parseFetch},
	{name: "STORE", states: selected, seqs: keepExpunge, selected: mail.RightRead, uid: true, parse: parseStore},
	{name: "COPY", states: selected, selected: mail.RightRead, named: mail.RightInsert, uid: true, parse: parseCopy},
	{name: "REPLACE", cap: "REPLACE", added: true, states: selected, selected: moveRights, named: mail.RightInsert, uid: true, open: true, parse: parseReplace},
	{name: "MOVE", cap: "MOVE", added: true, states: selected, selected: moveRights, named: mail.RightInsert, uid: true, parse: parseMove},
}

// moveRights are those for messages that go (RFC 6851 §4, RFC 8508 §3).
const moveRights = mail.RightRead | mail.RightDeleted | mail.RightExpunge

// bare is the parse function of a command without arguments.
func bare(run func(s *session, ctx context.Context) error) func(*session, *imapwire.Decoder) request {
	return func(*session, *imapwire.Decoder) request {
		return func(ctx context.Context, s *session) error { return run(s, ctx) }
	}
}

// index returns the table by name, and the capabilities that its rows give.
func index(rows []command) (byName map[string]*command, caps string) {
	byName = make(map[string]*command, len(rows))
	seen := map[string]bool{}
	for i := range rows {
		row := &rows[i]
		byName[row.name] = row
		for _, c := range strings.Fields(row.cap) {
			if !seen[c] {
				seen[c] = true
				caps += " " + c
			}
		}
	}
	return byName, caps
}
