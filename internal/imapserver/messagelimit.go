package imapserver

import (
	"iter"
	"slices"
	"strconv"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// limitCapability is MESSAGELIMIT or, for a server that only limits what is
// added to mailboxes, SAVELIMIT (RFC 9738 §3); "" without a limit.
func (o *Options) limitCapability() string {
	switch {
	case o.MessageLimit > 0:
		return " MESSAGELIMIT=" + strconv.Itoa(o.MessageLimit)
	case o.SaveLimit > 0:
		return " SAVELIMIT=" + strconv.Itoa(o.SaveLimit)
	}
	return ""
}

// saveLimit is how many messages one COPY or APPEND may be for; 0: any number.
func (o *Options) saveLimit() int { return max(o.MessageLimit, o.SaveLimit) }

// limitCode is the response code for a limit of n, with the lowest of the
// messages that are within it (RFC 9738 §3.1).
func limitCode(n int, within mail.UIDSet) string {
	code := "MESSAGELIMIT " + strconv.Itoa(n)
	if len(within) > 0 {
		code += " " + strconv.FormatUint(uint64(within[0].First), 10)
	}
	return code
}

// newest returns the last n of some messages, all if n is 0, and whether those
// are fewer.
func newest(uids mail.UIDSet, n int) (part mail.UIDSet, fewer bool) {
	if n == 0 || uids.Len() <= n {
		return uids, false
	}
	return uids.Slice(uids.Len()-n, uids.Len()), true
}

// limit returns the messages that the command may be for: of too many the
// newest, which its answer then tells (RFC 9738 §3.1).
func (s *session) limit(uids mail.UIDSet) (part mail.UIDSet, fewer bool) {
	part, fewer = newest(uids, s.opts.MessageLimit)
	if s.limited = ""; fewer {
		s.limited = limitCode(s.opts.MessageLimit, part)
	}
	return part, fewer
}

// maySave refuses to add more messages to a mailbox than one command may:
// COPY is for all of them or none (RFC 9738 §3.1).
func (s *session) maySave(uids mail.UIDSet) error {
	n := s.opts.saveLimit()
	if part, fewer := newest(uids, n); fewer {
		return &refusal{limitCode(n, part), "too many messages for one command; nothing was copied"}
	}
	return nil
}

// tellLimited tells that the command was not for all messages. Where the tagged
// answer has another response code, a line of its own does.
func (s *session) tellLimited() {
	switch {
	case s.limited == "":
	case s.code == "":
		s.code = s.limited
	default:
		s.line("* NO [" + s.limited + "] Only the last " + strconv.Itoa(s.opts.MessageLimit) + " messages")
	}
}

// limitFetch returns the messages that FETCH answers for. With PARTIAL, too
// many are refused.
func (s *session) limitFetch(uids mail.UIDSet, mods imapwire.FetchModifiers) (part mail.UIDSet, fewer bool, err error) {
	if part, fewer = s.limit(uids); fewer && mods.Partial != nil {
		return nil, false, &refusal{limitCode(s.opts.MessageLimit, nil), "the range of PARTIAL holds too many messages"}
	}
	return part, fewer, nil
}

// limitSearch returns the messages that SEARCH may look at; nil: all. Those that
// sets rule out are not looked at, and do not count (RFC 9738 §3.1).
func (s *session) limitSearch(key *imapwire.SearchKey) mail.UIDSet {
	if s.opts.MessageLimit == 0 {
		return nil
	}
	uids := mail.UIDSetOf(mail.UIDRange{First: 1, Last: mail.UIDMax})
	for _, set := range setsOf(key, nil) {
		uids = uids.Intersect(s.view.named(set))
	}
	part, fewer := s.limit(s.view.list.Existing(uids))
	if !fewer {
		return nil
	}
	return part
}

// setsOf appends the sets that all results of a search are in.
func setsOf(key *imapwire.SearchKey, sets []*imapwire.SearchKey) []*imapwire.SearchKey {
	switch key.Op {
	case imapwire.SearchSeq, imapwire.SearchUID:
		sets = append(sets, key)
	case imapwire.SearchAnd:
		for _, k := range key.Keys {
			sets = setsOf(k, sets)
		}
	}
	return sets
}

// descending yields messages from the highest UID to the lowest, as a limit
// requires.
func descending(messages iter.Seq2[int, *store.Message]) iter.Seq2[int, *store.Message] {
	type numbered struct {
		i int
		m *store.Message
	}
	var all []numbered
	for i, m := range messages {
		all = append(all, numbered{i, m})
	}
	return func(yield func(int, *store.Message) bool) {
		for _, n := range slices.Backward(all) {
			if !yield(n.i, n.m) {
				return
			}
		}
	}
}
