// Package mail holds the nouns that the store and the protocols share: UIDs and
// sets of them, mod-sequences, flags, mailbox names, special uses. Values only;
// nothing here waits, reads a clock or touches a file.
package mail
