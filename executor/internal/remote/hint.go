package remote

import "fmt"

// Hint returns the remedy.
func (e *ConfigError) Hint() string {
	return "correct your ssh config: \"ssh -G HOST\" shows what ssh makes of it"
}

// Hint returns the remedy.
func (e *UnreachableError) Hint() string {
	return fmt.Sprintf("check that %s is up and reachable from here, also through the jump hosts and commands of your ssh config", e.Host)
}

// Hint returns the remedy.
func (e *HostKeyError) Hint() string {
	return "compare the key with the host's, then correct known_hosts"
}

// Hint returns the remedy.
func (e *AuthError) Hint() string {
	return "check your agent (ssh-add -l), the user in your ssh config and your account there"
}

// Hint returns the remedy.
func (e *SudoError) Hint() string {
	return fmt.Sprintf("ask for the right to run sudo -iu %s there without a password", e.User)
}
