package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"github.com/angarium/angarium/internal/errs"
	"github.com/go-crypt/crypt"
	"github.com/go-crypt/crypt/algorithm/md5crypt"
	"golang.org/x/crypto/argon2"
)

// Costs of argon2id for new passwords (OWASP's first choice).
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
)

// PasswordMax is the longest password in octets.
const PasswordMax = 1024

// Hash returns a password as argon2id in PHC form. Errors: Invalid.
func Hash(password string) (string, error) {
	if password == "" || len(password) > PasswordMax || strings.ContainsAny(password, "\x00\r\n") {
		return "", errs.New("auth.Hash", errs.Invalid, fmt.Sprintf("a password has 1 to %d octets and no line ends", PasswordMax))
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, 32)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		enc.EncodeToString(salt), enc.EncodeToString(key)), nil
}

// decoder knows what the library thinks well of, and MD5, which old password
// files are full of.
var decoder = sync.OnceValues(func() (*crypt.Decoder, error) {
	d, err := crypt.NewDefaultDecoder()
	if err != nil {
		return nil, err
	}
	return d, md5crypt.RegisterDecoderCommon(d)
})

// ImportHash takes a hash as password files have it, {SCHEME}hash or the bare
// form of crypt(3), and returns it as it is stored. Errors: Invalid.
func ImportHash(s string) (string, error) {
	if _, err := digest(s); err != nil {
		return "", errs.As("auth.ImportHash", errs.Invalid, "the password's scheme is not known", err)
	}
	return s, nil
}

// digest decodes a stored hash into a test of passwords.
func digest(stored string) (match func(password string) bool, err error) {
	scheme, rest, ok := strings.Cut(strings.TrimPrefix(stored, "{"), "}")
	if !ok || !strings.HasPrefix(stored, "{") {
		scheme, rest = "", stored
	}
	switch strings.ToUpper(scheme) {
	case "PLAIN", "CLEARTEXT", "CLEAR":
		return func(p string) bool { return subtle.ConstantTimeCompare([]byte(rest), []byte(p)) == 1 }, nil
	case "", "ARGON2", "ARGON2I", "ARGON2ID", "CRYPT", "BLF-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "MD5-CRYPT", "PBKDF2":
	default:
		return nil, fmt.Errorf("scheme %q is not supported", scheme)
	}
	d, err := decoder()
	if err != nil {
		return nil, err
	}
	hash, err := d.Decode(rest)
	if err != nil {
		return nil, err
	}
	return func(p string) bool {
		ok, err := hash.MatchAdvanced(p)
		return ok && err == nil
	}, nil
}

// Verify reports whether a password is that of a stored hash.
func Verify(stored, password string) bool {
	match, err := digest(stored)
	return err == nil && len(password) <= PasswordMax && match(password)
}
