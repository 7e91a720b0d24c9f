package adminserver

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/store"
)

// UserImport is the argument of "user import".
type UserImport struct {
	Lines  []string `json:"lines"`            // name:password or name:{SCHEME}hash
	Update bool     `json:"update,omitempty"` // replace passwords of accounts that exist
	DryRun bool     `json:"dry_run,omitempty"`
}

// UserImported is its result.
type UserImported struct {
	Added   []string `json:"added"`
	Updated []string `json:"updated"`
	Kept    []string `json:"kept"` // existed, and were left alone
}

// UserImport is "user import" for callers in this process.
func (s *Service) UserImport(ctx context.Context, a UserImport) (UserImported, error) {
	return userImport(ctx, s, a)
}

// userImport makes the accounts of a file, all or none.
func userImport(ctx context.Context, s *Service, a UserImport) (UserImported, error) {
	infos, err := s.parseImport(a.Lines)
	if err != nil {
		return UserImported{}, err
	}
	r := UserImported{Added: []string{}, Updated: []string{}, Kept: []string{}}
	var add, update []store.AccountInfo
	for _, info := range infos {
		switch err := s.free(ctx, info.Name); {
		case err == nil:
			add, r.Added = append(add, info), append(r.Added, info.Name)
		case !errs.Is(err, errs.Exists):
			return r, err
		case a.Update:
			update, r.Updated = append(update, info), append(r.Updated, info.Name)
		default:
			r.Kept = append(r.Kept, info.Name)
		}
	}
	if a.DryRun {
		return r, nil
	}
	if err := hashAll(add, update); err != nil {
		return UserImported{}, err
	}
	if len(add) > 0 {
		if _, err := s.Store.CreateAccounts(ctx, add); err != nil {
			return UserImported{}, err
		}
	}
	for _, info := range update {
		if err := s.Store.SetPassword(ctx, info.Name, info.Password); err != nil {
			return r, err
		}
	}
	return r, nil
}

// free reports with an error of kind Exists that a name is taken.
func (s *Service) free(ctx context.Context, name string) error {
	_, err := s.Store.AccountInfo(ctx, name)
	switch {
	case err == nil:
		return errs.New("adminserver.free", errs.Exists, "the account "+name+" exists already")
	case errs.Is(err, errs.NotFound):
		return nil
	}
	return err
}

// parseImport reads the lines. Passwords stay as they are yet.
func (s *Service) parseImport(lines []string) ([]store.AccountInfo, error) {
	var infos []store.AccountInfo
	seen := map[string]int{}
	for i, line := range lines {
		wrong := func(text string) error {
			return errs.New("adminserver.parseImport", errs.Invalid, fmt.Sprintf("line %d: %s; nothing was imported", i+1, text))
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, password, ok := strings.Cut(line, ":")
		if !ok || password == "" {
			return nil, wrong("expected name:password or name:{SCHEME}hash")
		}
		name, err := s.qualify(name)
		if err != nil {
			return nil, wrong(errs.PublicText(err))
		}
		if first, twice := seen[name]; twice {
			return nil, wrong(fmt.Sprintf("%s is in line %d already", name, first))
		}
		seen[name] = i + 1
		if plain, is := plainPassword(password); is {
			password = plainMark + plain
		} else {
			if password, err = auth.ImportHash(password); err != nil {
				return nil, wrong(errs.PublicText(err))
			}
		}
		infos = append(infos, store.AccountInfo{Name: name, Password: password})
	}
	return infos, nil
}

// plainPassword returns the password of a line, when it is there in plain.
func plainPassword(s string) (password string, plain bool) {
	scheme, rest, ok := strings.Cut(s, "}")
	if !ok || !strings.HasPrefix(scheme, "{") {
		return s, true
	}
	switch strings.ToUpper(scheme[1:]) {
	case "PLAIN", "CLEAR", "CLEARTEXT":
		return rest, true
	}
	return "", false
}

// plainMark stands before a password that is still to be hashed. No stored
// hash begins with it.
const plainMark = "\x00"

// hashAll hashes the passwords on all cores: each takes some milliseconds.
func hashAll(groups ...[]store.AccountInfo) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	slots := make(chan struct{}, min(runtime.NumCPU(), runtime.GOMAXPROCS(0)))
	for _, infos := range groups {
		for i := range infos {
			password, plain := strings.CutPrefix(infos[i].Password, plainMark)
			if !plain {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				hash, err := auth.Hash(password)
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				infos[i].Password = hash
			})
		}
	}
	wg.Wait()
	return failed
}
