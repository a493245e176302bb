# Where everything is installed, in one place: below the prefix, but for what would not be found there. State is always
# in /var/lib and /run, and settings in /etc/p2prc. docs/installing.md has these variables, which -D sets.

# The default is worked out anew each time, so that another prefix moves what depends on it.
macro(p2prc_default name value)
  if(NOT DEFINED ${name})
    set(${name} ${value})
  endif()
endmacro()

# systemd looks below /usr/local as it does below /usr: systemd.unit(5), sysusers.d(5), tmpfiles.d(5), journalctl(1).
set(unit_dir lib/systemd/system)
set(dbus_policy_dir ${CMAKE_INSTALL_DATADIR}/dbus-1/system.d)
set(polkit_actions_dir ${CMAKE_INSTALL_DATADIR}/polkit-1/actions)
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  # /lib/systemd/system on Debian 12.
  pkg_get_variable(unit_dir systemd systemdsystemunitdir)
  if(NOT unit_dir AND NOT DEFINED P2PRC_SYSTEMD_UNIT_DIR)
    message(FATAL_ERROR "pkg-config cannot say where systemd keeps its units: install systemd.pc "
      "(Debian 13: systemd-dev), or set P2PRC_SYSTEMD_UNIT_DIR")
  endif()
elseif(CMAKE_INSTALL_PREFIX STREQUAL "/usr/local")
  # dbus-daemon reads policies below /usr/share and /etc alone, and polkit 122 its actions below /usr/share alone.
  set(dbus_policy_dir /etc/dbus-1/system.d)
  set(polkit_actions_dir /usr/share/polkit-1/actions)
endif()
p2prc_default(P2PRC_SYSTEMD_UNIT_DIR "${unit_dir}")
p2prc_default(P2PRC_SYSUSERS_DIR lib/sysusers.d)
p2prc_default(P2PRC_TMPFILES_DIR lib/tmpfiles.d)
p2prc_default(P2PRC_CATALOG_DIR lib/systemd/catalog)
p2prc_default(P2PRC_DBUS_POLICY_DIR "${dbus_policy_dir}")
p2prc_default(P2PRC_POLKIT_ACTIONS_DIR "${polkit_actions_dir}")
# needrestart(1) reads what is in /etc alone.
p2prc_default(P2PRC_NEEDRESTART_DIR /etc/needrestart/conf.d)
p2prc_default(P2PRC_ZSH_COMPLETION_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)

# Programs and defaults that nobody else reads. Not CMAKE_INSTALL_LIBDIR, which differs by architecture.
set(P2PRC_LIBEXECDIR ${CMAKE_INSTALL_LIBEXECDIR}/p2prc)
set(P2PRC_DEFAULTSDIR lib/p2prc)
foreach(name LIBEXECDIR DEFAULTSDIR)
  cmake_path(ABSOLUTE_PATH P2PRC_${name} BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}" NORMALIZE OUTPUT_VARIABLE P2PRC_FULL_${name})
endforeach()

# Programs of others, by full paths: systemd runs them, and would look for a bare name in a path of its own.
p2prc_default(P2PRC_UACME /usr/bin/uacme)
p2prc_default(P2PRC_CHOWN /usr/bin/chown)
p2prc_default(P2PRC_RM /usr/bin/rm)
p2prc_default(P2PRC_KILL /bin/kill)
