package store

// MailboxChange is a mailbox that is not as it was.
type MailboxChange struct {
	Old, New *Mailbox // nil where it was or is not there
}

// DiffMailboxes tells which mailboxes of an account are not as they were: by
// name those that are there, then those that are gone. What both states share
// costs a comparison of pointers.
func DiffMailboxes(old, now *Snapshot) (changes []MailboxChange) {
	var before, after []*Mailbox
	i, j := 0, 0
	for i < len(old.boxes) || j < len(now.boxes) {
		switch {
		case i < len(old.boxes) && j < len(now.boxes) && old.boxes[i] == now.boxes[j]:
			i, j = i+1, j+1
		case j == len(now.boxes) || i < len(old.boxes) && old.boxes[i].Name < now.boxes[j].Name:
			before = append(before, old.boxes[i])
			i++
		case i == len(old.boxes) || now.boxes[j].Name < old.boxes[i].Name:
			after = append(after, now.boxes[j])
			j++
		default:
			before, after = append(before, old.boxes[i]), append(after, now.boxes[j])
			i, j = i+1, j+1
		}
	}
	was := map[MailboxID]*Mailbox{}
	for _, box := range before {
		was[box.ID] = box
	}
	for _, box := range after {
		changes = append(changes, MailboxChange{was[box.ID], box})
		delete(was, box.ID)
	}
	for _, box := range before {
		if was[box.ID] != nil {
			changes = append(changes, MailboxChange{Old: box})
		}
	}
	return changes
}

// DiffSubscribed returns the names that are subscribed in one of two states of
// an account alone, sorted.
func DiffSubscribed(old, now *Snapshot) (names []string) {
	if len(now.subs) > 0 && len(old.subs) == len(now.subs) && &old.subs[0] == &now.subs[0] { // what changes them copies them
		return nil
	}
	i, j := 0, 0
	for i < len(old.subs) || j < len(now.subs) {
		switch {
		case j == len(now.subs) || i < len(old.subs) && old.subs[i] < now.subs[j]:
			names = append(names, old.subs[i])
			i++
		case i == len(old.subs) || now.subs[j] < old.subs[i]:
			names = append(names, now.subs[j])
			j++
		default:
			i, j = i+1, j+1
		}
	}
	return names
}
