# Evaluates the package and the module against a stand-in for nixpkgs, which has what they use and no more: so much can be
# said without the Internet. `nix-instantiate --eval --strict --json tests/nix/evaluate.nix` prints what came out.
let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elemAt
    filter
    foldl'
    isAttrs
    isList
    length
    listToAttrs
    map
    substring
    stringLength
    ;

  lib = {
    inherit concatMap;
    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      description:
      lib.mkOption {
        default = false;
        inherit description;
      };
    mkIf = condition: content: if condition then content else { };
    mkMerge = contents: { _merge = contents; };
    mkDefault = value: value;
    literalExpression = text: text;
    optionals = condition: list: if condition then list else [ ];
    escapeShellArgs = words: concatStringsSep " " (map (word: "'${toString word}'") words);
    nameValuePair = name: value: { inherit name value; };
    mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
    getExe = package: "${package}/bin/${package.name or "program"}";
    cleanSource = path: path;
    cleanSourceWith = { src, filter }: src;
    removePrefix =
      prefix: text:
      if substring 0 (stringLength prefix) text == prefix then
        substring (stringLength prefix) (stringLength text) text
      else
        text;
    licenses.lgpl21Plus = "LGPL-2.1-or-later";
    platforms.linux = [ "x86_64-linux" ];
    types = {
      package = "package";
      bool = "boolean";
      str = "text";
      nullOr = type: type;
      listOf = type: type;
      attrsOf = type: type;
      submodule = options: "submodule";
    };
  };

  # Deep for sets, one after the other for lists: as modules merge.
  merge =
    left: right:
    if isAttrs left && isAttrs right then
      left // listToAttrs (map (name: lib.nameValuePair name (if left ? ${name} then merge left.${name} right.${name} else right.${name})) (attrNames right))
    else if isList left && isList right then
      left ++ right
    else
      right;
  flat = content: if content ? _merge then foldl' merge { } (map flat content._merge) else content;

  defaults =
    options:
    if options._type or "" == "option" then
      options.default
    else
      listToAttrs (map (name: lib.nameValuePair name (defaults options.${name})) (filter (name: name != "_type") (attrNames options)));

  stored = name: "/nix/store/${name}";
  pkgs = {
    p2prc = stored "p2prc";
    formats.toml = _: {
      type = "toml";
      generate = name: value: "${stored name}:${builtins.toJSON value}";
    };
  };

  machine =
    given:
    let
      module = import ../../nix/module.nix { inherit config lib pkgs; };
      config = {
        services.p2prc = merge (defaults module.options.services.p2prc) given;
        environment.etc = made.environment.etc;
        networking.primaryIPAddress = "203.0.113.10";
      };
      made = flat (if given.enable or false then module.config else { });
    in
    made;

  test = import ../../nix/test.nix "the module";
  node = name: machine ((test.nodes.${name} { inherit lib; config.networking.primaryIPAddress = "203.0.113.10"; pkgs.python3 = { outPath = stored "python3"; name = "python3"; }; }).services.p2prc);
  package = import ../../nix/package.nix (
    {
      inherit lib;
      stdenv.mkDerivation = attributes: attributes;
    }
    // listToAttrs (
      map (name: lib.nameValuePair name (stored name)) (
        filter (name: name != "lib" && name != "stdenv") (attrNames (builtins.functionArgs (import ../../nix/package.nix)))
      )
    )
  );

  outputs = (import ../../flake.nix).outputs {
    self = outputs;
    nixpkgs = {
      lib.genAttrs = names: f: listToAttrs (map (name: lib.nameValuePair name (f name)) names);
      legacyPackages = { };
    };
  };

  check = what: holds: if holds then what else throw "not so: ${what}";
  root = node "root";
  home = node "home";
  services = machine: attrNames machine.systemd.services;
  both = machine { enable = true; fleet.domain = "home.example"; fleet.joinTokenFile = "/run/token"; };
in
map (row: check (elemAt row 0) (elemAt row 1)) [
  [ "without enable nothing is set" (machine { } == { }) ]
  [ "the package has the version of CMakeLists.txt" (builtins.match "[0-9]+\\.[0-9]+\\.[0-9]+" package.version != null) ]
  [ "programs of others are named by their paths" (builtins.elem "-DP2PRC_UACME=/nix/store/uacme/bin/uacme" package.cmakeFlags) ]
  [ "the flake has a package, an overlay, a module and a check" (attrNames outputs == [ "checks" "nixosModules" "overlays" "packages" ]) ]
  [ "the module brings its overlay" (length outputs.nixosModules.default.nixpkgs.overlays == 1) ]
  [ "a root is made" (root.systemd.services.p2prcd-fleet.script == "'/nix/store/p2prc/bin/p2prc' 'init' '--domain' 'home.example' '--acme' 'none' '--name' 'root' '--public-ip' '203.0.113.10'") ]
  [ "its ports are open" (root.networking.firewall.allowedTCPPorts == [ 443 80 53 ]) ]
  [ "a home joins, unless it is a member" (home.systemd.services.p2prcd-fleet.unitConfig.ConditionPathExists == "!/var/lib/p2prc/roles/connector") ]
  [ "its token is read as a credential" (home.systemd.services.p2prcd-fleet.script == "'/nix/store/p2prc/bin/p2prc' 'join' '-' '--name' 'home' <\"$CREDENTIALS_DIRECTORY/token\"") ]
  [ "a home opens no port" (!(home ? networking)) ]
  [ "both want edge and connector at each boot" (services root == [ "p2prc-connector" "p2prc-edge" "p2prcd" "p2prcd-fleet" ] && services home == [ "p2prc-connector" "p2prc-edge" "p2prcd" "p2prcd-declared-web" "p2prcd-fleet" ]) ]
  [ "settings become TOML" (home.environment.etc."p2prc/p2prcd.toml".source == "/nix/store/p2prcd.toml:{\"remote\":{\"spin\":\"no\"}}") ]
  [ "a process has its name" (builtins.match ".*\"name\":\"web\".*" home.systemd.services.p2prcd-declared-web.script != null) ]
  [ "a machine is no root and member at once" (length (filter (one: !one.assertion) both.assertions) == 1) ]
]
