# p2prc with nixpkgs' own libraries.
{
  lib,
  stdenv,
  bash-completion,
  boost,
  c-ares,
  cli11,
  cmake,
  coreutils,
  fmt,
  ldns,
  ninja,
  nlohmann_json,
  openssl,
  pkg-config,
  scdoc,
  sqlite,
  systemd,
  tomlplusplus,
  uacme,
}:

stdenv.mkDerivation {
  pname = "p2prc";
  version = builtins.head (
    builtins.match ".*project\\(p2prc VERSION ([0-9.]+) .*" (builtins.readFile ../CMakeLists.txt)
  );

  src = lib.cleanSourceWith {
    src = lib.cleanSource ../.;
    # What lies in a clone beside the source, and what changes without a change of the programs.
    filter =
      path: _:
      !(builtins.elem (lib.removePrefix (toString ../. + "/") path) [
        "build"
        "dist"
        "nix"
        "tests"
      ]);
  };

  nativeBuildInputs = [
    cmake
    ninja
    pkg-config
    scdoc
  ];
  buildInputs = [
    bash-completion
    boost
    c-ares
    cli11
    fmt
    ldns
    nlohmann_json
    openssl
    sqlite
    systemd
    tomlplusplus
  ];

  cmakeFlags = [
    "-DP2PRC_TESTS=OFF"
    # NixOS has no needrestart; nothing is installed outside the store.
    "-DP2PRC_NEEDRESTART_DIR=share/doc/p2prc/needrestart"
    # systemd runs these; it looks for no name in the store.
    "-DP2PRC_UACME=${uacme}/bin/uacme"
    "-DP2PRC_CHOWN=${coreutils}/bin/chown"
    "-DP2PRC_RM=${coreutils}/bin/rm"
    "-DP2PRC_KILL=${coreutils}/bin/kill"
  ];

  meta = {
    description = "Run services on the machines a household owns";
    license = lib.licenses.lgpl21Plus;
    platforms = lib.platforms.linux;
    mainProgram = "p2prc";
  };
}
