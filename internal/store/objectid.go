package store

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/angarium/angarium/internal/message"
)

// ObjectIDs makes the texts of ids, which are the objectids of RFC 8474 §7, of an
// account's mailboxes and messages as a user sees them: a number, and behind it
// the account, unless that is the user's own. They are unique among all that the
// user sees, for ever, also among each other.
type ObjectIDs struct{ Account, User AccountID }

// Mailbox returns the MAILBOXID of a mailbox.
func (x ObjectIDs) Mailbox(id MailboxID) string { return x.text('F', x.Account, uint64(id)) }

// Message returns the EMAILID of a message.
func (x ObjectIDs) Message(id MessageID) string {
	home, n := homeOf(x.Account, uint64(id))
	return x.text('M', home, n)
}

// Thread returns the THREADID of a message in a thread.
func (x ObjectIDs) Thread(id ThreadID) string {
	if id&rootedThread != 0 {
		return "T" + strconv.FormatUint(uint64(id), 10)
	}
	home, n := homeOf(x.Account, uint64(id))
	return x.text('T', home, n)
}

// MessageNumber returns the id of a message as a number: that in its EMAILID, or
// for one of another account what it would be in the user's.
func (x ObjectIDs) MessageNumber(id MessageID) uint64 { return x.number(uint64(id)) }

// ThreadNumber does likewise.
func (x ObjectIDs) ThreadNumber(id ThreadID) uint64 { return x.number(uint64(id)) }

func (x ObjectIDs) number(id uint64) uint64 {
	if n := carry(id, x.Account, x.User); n != 0 {
		return n
	}
	return id
}

// ParseMessage returns the message of an EMAILID, or of its number behind "M".
func (x ObjectIDs) ParseMessage(text string) (id MessageID, ok bool) {
	n := x.parse(text)
	id = MessageID(n)
	return id, x.Message(id) == text || text == "M"+strconv.FormatUint(x.MessageNumber(id), 10)
}

// ParseThread returns the thread of a THREADID, or of its number behind "T".
func (x ObjectIDs) ParseThread(text string) (id ThreadID, ok bool) {
	n := x.parse(text)
	id = ThreadID(n)
	return id, x.Thread(id) == text || text == "T"+strconv.FormatUint(x.ThreadNumber(id), 10)
}

// parse returns the id that a text may mean, as it stands in the account.
func (x ObjectIDs) parse(text string) uint64 {
	number, account, _ := strings.Cut(text[min(1, len(text)):], "_")
	id, _ := strconv.ParseUint(number, 10, 64)
	home, n := homeOf(x.User, id)
	if account != "" {
		given, _ := strconv.ParseUint(account, 10, 64)
		home = AccountID(given)
	}
	if home == x.Account {
		return n
	}
	return carry(n, home, x.Account)
}

func (x ObjectIDs) text(prefix byte, home AccountID, n uint64) string {
	b := strconv.AppendUint([]byte{prefix}, n, 10)
	if home != x.User {
		b = strconv.AppendUint(append(b, '_'), uint64(home), 10)
	}
	return string(b)
}

// A message that was copied from another account keeps its ids (RFC 8474 §5.1):
// the number that it has there, and which account that is.
const (
	abroad       = 1 << 61 // marks such ids
	rootedThread = 1 << 62 // marks threads that are named by a message id
	numberBits   = 40
	accountBits  = 61 - numberBits
)

// homeOf tells in which account an id was given, that stands in this one.
func homeOf(account AccountID, id uint64) (home AccountID, n uint64) {
	if id&(abroad|rootedThread) != abroad {
		return account, id
	}
	return AccountID(id >> numberBits & (1<<accountBits - 1)), id & (1<<numberBits - 1)
}

// carry returns what an id of one account is in another, 0 if it has no room.
func carry(id uint64, from, to AccountID) uint64 {
	home, n := homeOf(from, id)
	switch {
	case id&rootedThread != 0:
		return id
	case home == to:
		return n
	case n >= 1<<numberBits || home >= 1<<accountBits:
		return 0
	}
	return abroad | uint64(home)<<numberBits | n
}

// ThreadOf returns the thread of a message (RFC 8474 §5.2), which is named by
// the message id at its root: messages with the same root are one thread,
// whatever order they come in, and copies stay in it. A message without message
// ids is a thread of its own.
func ThreadOf(m *Message, s *message.Summary) ThreadID {
	root := s.ThreadRoot()
	if root == "" {
		return m.Thread
	}
	digest := sha256.Sum256([]byte(root))
	// 63 bits, so that it is a number for everybody, and above all numbers of
	// messages.
	return ThreadID(binary.BigEndian.Uint64(digest[:])>>2 | rootedThread)
}
