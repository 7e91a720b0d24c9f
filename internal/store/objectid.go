package store

import "strconv"

// The texts of ids are the objectids of RFC 8474 §7: unique in an account for
// ever, also among each other.

func (id MailboxID) String() string { return "F" + strconv.FormatUint(uint64(id), 10) }

func (id MessageID) String() string { return "M" + strconv.FormatUint(uint64(id), 10) }
