package imapserver

import "github.com/angarium/angarium/internal/errs"

// refusal is a NO that is the protocol's own, not the store's.
type refusal struct{ code, text string }

func (e *refusal) Error() string { return e.text }

// kindCodes gives the response code of each kind of failure (RFC 5530 §3).
var kindCodes = map[errs.Kind]string{
	errs.Internal:  "SERVERBUG",
	errs.Temporary: "UNAVAILABLE",
	errs.NotFound:  "NONEXISTENT",
	errs.Exists:    "ALREADYEXISTS",
	errs.Denied:    "NOPERM",
	errs.BadAuth:   "AUTHENTICATIONFAILED",
	errs.Invalid:   "CANNOT",
	errs.OverQuota: "OVERQUOTA",
	errs.TooBig:    "TOOBIG", // RFC 7889 §4
	errs.Limit:     "LIMIT",
	errs.InUse:     "INUSE",
	errs.Expunged:  "EXPUNGEISSUED",
	errs.NotHome:   "UNAVAILABLE",
	errs.Corrupt:   "CORRUPTION",
	errs.NoSpace:   "UNAVAILABLE",
	errs.Conflict:  "UNAVAILABLE",
}

// tryCreate turns a missing target mailbox into the hint that the client may
// create it (RFC 3501 §7.1 TRYCREATE).
func tryCreate(err error) error {
	if errs.Is(err, errs.NotFound) {
		return &refusal{"TRYCREATE", errs.PublicText(err)}
	}
	return err
}

// errReadOnly refuses a change in a mailbox that was opened with EXAMINE.
var errReadOnly = &refusal{"READ-ONLY", "the mailbox was opened read-only"}
