// Package smtpwire is the grammar of SMTP and LMTP (RFC 5321, RFC 2033):
// commands, paths, parameters, and the dots of DATA. Values only.
package smtpwire
