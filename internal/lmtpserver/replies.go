package lmtpserver

import "github.com/angarium/angarium/internal/errs"

// fullForGood is the reply to mail for a full account that the MTA shall not try
// again (RFC 5321 §4.2.3, RFC 3463 §3.3).
const fullForGood = "552 5.2.2"

const tooBig = "552 5.3.4 The message is too big"

// kindReplies gives the reply and enhanced code (RFC 3463) of each kind of
// failure: whatever may be over later is 4xx, so that the MTA keeps the
// message.
var kindReplies = map[errs.Kind]string{
	errs.Internal:  "451 4.3.0",
	errs.Temporary: "451 4.3.0",
	errs.NotFound:  "550 5.1.1",
	errs.Exists:    "451 4.3.0",
	errs.Denied:    "550 5.7.1",
	errs.BadAuth:   "451 4.7.0",
	errs.Invalid:   "550 5.1.3",
	errs.OverQuota: "452 4.2.2",
	errs.TooBig:    "552 5.3.4",
	errs.Limit:     "452 4.3.1",
	errs.InUse:     "451 4.2.1",
	errs.Expunged:  "451 4.3.0",
	errs.NotHome:   "451 4.3.2",
	errs.Corrupt:   "451 4.3.0",
	errs.NoSpace:   "452 4.3.1",
	errs.Conflict:  "451 4.3.0",
}

// code returns the reply and enhanced code of a failure.
func (o *Options) code(err error) string {
	kind := errs.KindOf(err)
	if kind == errs.OverQuota && o.Bounce {
		return fullForGood
	}
	return kindReplies[kind]
}
