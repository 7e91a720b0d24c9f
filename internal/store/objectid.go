package store

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"github.com/angarium/angarium/internal/message"
)

// The texts of ids are the objectids of RFC 8474 §7: unique in an account for
// ever, also among each other.

func (id MailboxID) String() string { return "F" + strconv.FormatUint(uint64(id), 10) }

func (id MessageID) String() string { return "M" + strconv.FormatUint(uint64(id), 10) }

func (id ThreadID) String() string { return "T" + strconv.FormatUint(uint64(id), 10) }

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
	return ThreadID(binary.BigEndian.Uint64(digest[:])>>2 | 1<<62)
}
