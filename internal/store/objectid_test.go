package store

import "testing"

// TestObjectIDs: ids are told apart, and read again as what they were, whoever
// looks at whichever account (RFC 8474 §7).
func TestObjectIDs(t *testing.T) {
	const ada, bela, far = AccountID(16), AccountID(17), AccountID(1 << 30)
	for _, x := range []ObjectIDs{{ada, ada}, {ada, bela}, {bela, ada}, {far, ada}, {ada, far}} {
		texts := map[string]uint64{}
		for _, id := range []uint64{1, 2, 1<<numberBits - 1, 1 << numberBits, 1 << 51, carry(1, bela, ada), carry(1, 99, ada), carry(1<<40-1, 1<<21-1, ada), 1<<62 | 5} {
			if home, n := homeOf(x.Account, id); home == x.Account && n != id {
				continue // an account's own ids are not from abroad
			}
			message, thread := x.Message(MessageID(id)), x.Thread(ThreadID(id))
			if was, ok := texts[message]; ok {
				t.Errorf("%v: %s is of %x and %x", x, message, was, id)
			}
			texts[message] = id
			if id&rootedThread == 0 {
				if got, ok := x.ParseMessage(message); !ok || got != MessageID(id) {
					t.Errorf("%v: %s of %x is read as %x, %v", x, message, id, got, ok)
				}
			}
			if got, ok := x.ParseThread(thread); !ok || got != ThreadID(id) {
				t.Errorf("%v: %s of %x is read as %x, %v", x, thread, id, got, ok)
			}
		}
	}
	x := ObjectIDs{ada, bela}
	for _, bad := range []string{"", "M", "M_", "M_16", "M01_16", "M1_016", "M1_16_16", "M1_17", "M-1", "m1_16", "T1_16", "M99999999999999999999_16", "M1_99999999999999999999"} {
		if id, ok := x.ParseMessage(bad); ok {
			t.Errorf("%q is taken as %x", bad, id)
		}
	}
}

// TestCarry: a message that comes home has the ids that it had.
func TestCarry(t *testing.T) {
	for _, id := range []uint64{1, 1<<numberBits - 1, 1<<62 | 7} {
		there := carry(id, 16, 17)
		if back := carry(there, 17, 16); back != id || there == 0 {
			t.Errorf("%x is %x there, and %x again", id, there, back)
		}
		if on := carry(there, 17, 18); carry(on, 18, 16) != id {
			t.Errorf("%x is not itself by way of two accounts", id)
		}
	}
	if carry(1<<numberBits, 16, 17) != 0 || carry(1, 1<<accountBits, 17) != 0 {
		t.Error("what has no room is carried")
	}
}
